"""Which variables of the caller reach a job: an allow-list, so that one launch never leaks into the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["NAMES", "NEVER", "PREFIXES", "allowed", "job_environment"]

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

_SECRET = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "ACCESS_KEY")


def allowed(name: str) -> bool:
    """Whether a variable of the caller reaches the job without being asked for; what looks secret never does."""
    if name in NAMES:
        return True
    return name.startswith(PREFIXES) and not any(word in name for word in _SECRET)


def job_environment(
    *,
    environ: Mapping[str, str],
    rendered: Mapping[str, str],
    pass_env: Sequence[str] = (),
    first_on_path: Sequence[str] = (),
) -> dict[str, str]:
    """The whole environment of one command of a job.

    environ: the caller's. rendered: what the plan sets; it wins. pass_env: names handed on as they are.
    first_on_path: folders put before the caller's PATH.
    """
    handed = {name: value for name, value in environ.items() if allowed(name) or name in pass_env}
    entries = handed.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    folders = [*first_on_path, *(entry for entry in entries if entry not in first_on_path)]
    return {**handed, "PATH": ":".join(folders), **rendered}
