"""What is wrong with files of configuration, before any server reads them.

Rules are pure: parsed documents in, problems out. Only inventory.py reads files.
"""
