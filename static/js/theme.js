// Sets the colour theme. Loaded in <head> without defer, so that no page is painted in the wrong theme.
(() => {
  const KEY = "xraysite-theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // Storage is disabled: follow the system setting.
    }
  }

  function remember(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Storage is disabled: the choice applies to this page only.
    }
  }

  function apply(theme) {
    root.dataset.bsTheme = theme;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      const label = theme === "dark" ? button.dataset.labelLight : button.dataset.labelDark;
      button.setAttribute("aria-label", label);
      button.title = label;
    }
  }

  const current = () => stored() ?? (system.matches ? "dark" : "light");

  root.classList.add("js");
  apply(current());
  system.addEventListener("change", () => apply(current()));
  // Paper is white.
  window.addEventListener("beforeprint", () => apply("light"));
  window.addEventListener("afterprint", () => apply(current()));
  document.addEventListener("DOMContentLoaded", () => {
    apply(current());
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.addEventListener("click", () => {
        const next = root.dataset.bsTheme === "dark" ? "light" : "dark";
        remember(next);
        apply(next);
      });
    }
  });
})();
