"""Searches for near duplicates: pictures, texts and rows of tables that were copied and changed."""
