"""A backbone's name becomes local files; what is special about each family; the embedded one."""
