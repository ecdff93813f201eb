"""One module a foreign library: importing the module is what asks for the library."""
