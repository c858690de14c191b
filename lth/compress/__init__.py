"""Smaller nets and files: compaction, layouts, file formats, and tables that measure them.

Modules are imported by name (`from lth.compress import layouts`): only `formats`, `file_table` and `onnx` need ONNX.
"""
