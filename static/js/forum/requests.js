// Requests of the forum pages.

export const AJAX = { "X-Requested-With": "XMLHttpRequest" };

export function post(url, fields, options = {}) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  return fetch(url, {
    method: "POST",
    body,
    headers: { "X-CSRFToken": token, ...AJAX },
    ...options,
  });
}

// A request without a session is redirected to the sign-in page, which answers 200.
export const isSuccess = (response) => response.ok && !response.redirected;
