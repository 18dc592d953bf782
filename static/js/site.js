// Behaviour shared by all pages: menus that close, forms sent once, the delete dialog, printing.

function closeMenusOnOutsideUse() {
  const menus = () => document.querySelectorAll("details[data-dismissible][open]");
  document.addEventListener("click", (event) => {
    for (const menu of menus()) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}

function sendFormsOnce() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-once]") || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "true";
    for (const button of form.querySelectorAll("button[type=submit]")) {
      button.setAttribute("aria-disabled", "true");
      button.classList.add("is-busy");
      const label = button.querySelector("[data-busy-label]");
      if (label) label.textContent = label.dataset.busyLabel;
    }
  });
  // The Back button can restore a page whose form is still marked as sent.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("form[data-sent]")) window.location.reload();
  });
}

// Without this script, a delete link leads to a confirmation page instead of opening a dialog.
function confirmDeletion() {
  const dialog = document.getElementById("delete-dialog");
  if (!dialog) return;
  document.addEventListener("click", (event) => {
    const trigger = event.target.closest("[data-delete-url]");
    if (!trigger) return;
    event.preventDefault();
    const form = dialog.querySelector("form");
    form.reset(); // The dialog is shared: the reason chosen for another reading must not stay.
    form.action = trigger.dataset.deleteUrl;
    dialog.querySelector("[data-delete-patient]").textContent = trigger.dataset.deletePatient;
    dialog.querySelector("[data-delete-detail]").textContent = trigger.dataset.deleteDetail;
    dialog.querySelector("[data-delete-shared]").hidden = !("deleteIsShared" in trigger.dataset);
    dialog.showModal();
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  // A click on the backdrop has the dialog as its target, not an element inside it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

// A search replaces only the table, so screen readers get the number of results separately.
function announceSearchResults() {
  const status = document.querySelector("[data-said]");
  if (!status) return;
  document.body.addEventListener("htmx:afterSwap", (event) => {
    status.textContent = event.target.querySelector("[data-say]")?.textContent.trim() ?? "";
  });
}

function dismissNotices() {
  document.addEventListener("click", (event) => {
    event.target.closest("[data-dismiss]")?.closest(".notice").remove();
  });
}

function printOnDemand() {
  for (const button of document.querySelectorAll("[data-print]")) {
    button.addEventListener("click", () => window.print());
  }
}

function focusErrorSummary() {
  document.querySelector("[data-error-summary]")?.focus();
}

closeMenusOnOutsideUse();
sendFormsOnce();
confirmDeletion();
announceSearchResults();
dismissNotices();
printOnDemand();
focusErrorSummary();
