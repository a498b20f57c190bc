"""The servers and services of the mesh, one module each."""
