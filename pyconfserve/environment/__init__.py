"""What configuration is: names, documents, properties, overlay, rendering.

Everything in this room is pure: no input or output, no clock, no asyncio.
"""
