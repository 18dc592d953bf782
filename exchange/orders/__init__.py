"""Orders for X-rays: what the modality worklist answers, and watched folders."""
