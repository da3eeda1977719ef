"""Components: the primitives that methods name in their files, by family."""
