"""Frames kept on disk to the last bit: FFV1, a quarter to half of their raw size."""

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from engine.project.atomic import whole_file, write_failed


def write_lossless(path: Path, frames: NDArray[np.uint8]) -> Path:
    """Write (num_frames, height, width, 3) uint8 RGB. Raises WriteFailed."""
    height, width = frames.shape[1:3]
    try:
        with whole_file(path) as part, av.open(str(part), "w", format="matroska") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
            for frame in frames:
                for packet in stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format="bgr0")):
                    container.mux(packet)
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise write_failed(path, OSError(error.errno, error.strerror)) from error
    return path


def read_lossless(path: Path) -> NDArray[np.uint8]:
    """What ``write_lossless`` wrote. Raises OSError or ValueError for anything else."""
    try:
        with av.open(str(path), format="matroska") as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{path.name} holds no frames: {error}") from error
    if not frames:
        raise ValueError(f"{path.name} holds no frames")
    return np.stack(frames)
