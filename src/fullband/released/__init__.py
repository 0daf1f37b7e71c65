"""The weights that ship: one `NAME.onnx` and one `NAME.json` (its card) each. Data only."""
