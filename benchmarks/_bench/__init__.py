"""What Rung costs, beside what one would do instead and as data grow: `nox -s bench`.

    pairs      ours and theirs on the same data, in turns
    scaling    time and memory of every rung at n, 2n, 4n and 8n rows
    pipeline   pictures a second, from the archive into the net
    isolation  what it costs that each trial has a process of its own

Each yields records, which are plain data; the page is made from them, and so is what has become
slower than in a file of before.
"""
