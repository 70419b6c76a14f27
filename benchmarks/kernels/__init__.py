"""The kernels beside torch.nn and onnxruntime: `python -m benchmarks.kernels`; shapes.toml has the bars."""
