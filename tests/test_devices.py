"""The choice of precision."""

import pytest

from tf_cyclegan import cpu, devices


@pytest.mark.parametrize("fast, policy", [(True, "mixed_bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_only_where_it_is_fast(fast, policy, monkeypatch):
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda: fast)
    assert devices.dtype_policy("auto") == policy


@pytest.mark.parametrize("flags, fast", [("fpu amx_bf16 amx_tile", True), ("fpu avx2", False)])
def test_amx_is_what_makes_a_cpu_fast(flags, fast, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(cpu, "Path", lambda _: tmp_path / "cpuinfo")
    assert devices.has_fast_bfloat16() is fast
    assert devices.describe_device() == f"CPU {'with' if fast else 'without'} AMX"


def test_avx_512_bf16_is_named(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags : fpu avx512_bf16\n")
    monkeypatch.setattr(cpu, "Path", lambda _: tmp_path / "cpuinfo")
    assert devices.describe_device() == "CPU with AVX-512 BF16" and not devices.has_fast_bfloat16()


def test_given_precisions_are_obeyed_and_others_named():
    assert devices.dtype_policy("float16") == "mixed_float16"
    with pytest.raises(ValueError, match="`precision`.*'int8'"):
        devices.dtype_policy("int8")
