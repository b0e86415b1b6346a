"""Which variables of the caller may reach a job: an allow-list, so that one launch never leaks into the next."""

from __future__ import annotations

__all__ = ["HERE", "INSIDE_IMAGES", "NAMES", "NEVER", "PREFIXES", "SOFTWARE", "allowed"]

NAMES = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM"),
        *("TMPDIR", "TMP", "TEMP"),
        *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONPATH", "PYTHONHOME"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONFAULTHANDLER", "PYTHONHASHSEED"),
        *("PYTHONIOENCODING", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONWARNINGS"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"),
        *("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "MAX_JOBS"),
        *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("TOKENIZERS_PARALLELISM", "NO_COLOR"),
    )
)
PREFIXES = (
    *("LC_", "XDG_"),
    *("CUDA_", "NVIDIA_", "CUDNN_", "CUBLAS_", "ROCM_", "ROCR_", "HIP_", "HSA_", "MIOPEN_", "HABANA_"),
    *("NCCL_", "RCCL_", "HCCL_", "GLOO_", "UCX_", "FI_", "OFI_"),
    *("TORCH_", "PYTORCH_", "TORCHINDUCTOR_", "TRITON_", "DS_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("HF_", "TRANSFORMERS_", "WANDB_", "MLFLOW_"),
)
NEVER = (
    *("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_", "PET_"),
    *("ACCELERATE_", "FSDP_", "DEEPSPEED_", "LAUNCHER_", "BATCHWRIGHT_", "SLURM_", "PMI_", "PMIX_", "OMPI_"),
)
"""What another launch would have left behind; listed for the reference, and tested to stay out of the two above."""

HERE = frozenset(
    (
        *("HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TMP", "TEMP"),
        *("LD_PRELOAD", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    )
)
"""What belongs to a login on one machine."""

SOFTWARE = frozenset(
    (
        *("PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"),
        *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONPATH", "PYTHONHOME"),
        *("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    )
)
"""What a module load or an image is there to set."""

_SECRET = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "ACCESS_KEY")

INSIDE_IMAGES = frozenset(("kubernetes",))
"""Executors whose jobs see no folder and no variable of the caller's machine: what they need is in their image."""


def allowed(name: str) -> bool:
    """Whether a variable of the caller reaches the job without being asked for; what looks secret never does."""
    if name in NAMES:
        return True
    return name.startswith(PREFIXES) and not any(word in name for word in _SECRET)
