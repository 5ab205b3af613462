"""Checks of a running host over hundreds of prompts: memory, failures, repetition, files. They write a page of docs."""
