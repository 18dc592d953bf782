// Shows a message when a passkey operation fails; allauth's own script only logs it to the console.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  for (const message of document.querySelectorAll("[data-passkey-problem]")) message.hidden = false;
});
