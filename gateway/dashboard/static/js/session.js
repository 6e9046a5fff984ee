// Who is signed in: a bearer token, kept for this tab, or on this device where the person asks for it.
//
// A link with `#token=…` signs in: a fragment is sent to no server, and it is taken out of the address bar at once. There is no cookie, so no
// other site can make the browser act in this person's name.

const KEY = "ambient.token";

let token = "";

/** Take the token from the link or from where it was kept. */
export function begin() {
  const link = new URLSearchParams(location.hash.slice(1)).get("token");
  if (link) {
    remember(link, false);
    history.replaceState(null, "", location.pathname + location.search);
    return;
  }
  token = sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "";
}

export function remember(value, keep) {
  token = value.trim();
  sessionStorage.setItem(KEY, token);
  if (keep) localStorage.setItem(KEY, token);
}

export function forget() {
  token = "";
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
}

export const current = () => token;
