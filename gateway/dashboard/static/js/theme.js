// Light, dark, or as the system says. Runs before anything is drawn, so that no page flashes in the wrong one; not a module, for that reason.

(() => {
  const KEY = "ambient.theme";
  const root = document.documentElement;
  const kept = () => {
    try {
      return localStorage.getItem(KEY) ?? "system";
    } catch {
      return "system";
    }
  };
  const apply = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    root.dispatchEvent(new CustomEvent("themechange"));
  };
  apply(kept());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => root.dispatchEvent(new CustomEvent("themechange")));
  root.ambientTheme = {
    get: kept,
    set(theme) {
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // Private windows may refuse: the choice then holds for this page.
      }
      apply(theme);
    },
  };
})();
