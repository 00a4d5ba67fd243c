"""What computes: torch, OpenVINO, ONNX Runtime."""
