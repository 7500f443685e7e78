"""Prints, for every type of blocks, the SHA-256 of the float32 numbers that the gguf library makes of 256 blocks of pseudo-random
bytes: the constants in widen_test.go (gguf 0.19.0, numpy 2.4.6). All NaN count as one. Needs gguf from PyPI."""

import hashlib

import gguf
import numpy as np

np.seterr(all="ignore")
TYPES = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4"


def pseudo_random(n):
    """The third byte of a linear congruential generator (Numerical Recipes, section 7.1)."""
    state, out = 1, bytearray()
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out.append(state >> 16 & 255)
    return np.frombuffer(bytes(out), dtype=np.uint8)


for name in TYPES.split():
    kind = gguf.GGMLQuantizationType[name]
    _, size = gguf.GGML_QUANT_SIZES[kind]
    numbers = gguf.dequantize(pseudo_random(256 * size).reshape(256, size), kind).ravel()
    bits = np.where(np.isnan(numbers), np.uint32(0x7FC00000), numbers.view(np.uint32)).astype("<u4")
    print(f'gguf.{name}: "{hashlib.sha256(bits.tobytes()).hexdigest()}",')
