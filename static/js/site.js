// What every page shares: menus that close, forms sent once, the delete dialog, printing.

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
  // A page that comes back by the browser's Back is to be usable again.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("form[data-sent]")) window.location.reload();
  });
}

// The links that delete lead to a page that asks; with this script a dialog asks at once.
function askBeforeDeleting() {
  const dialog = document.getElementById("delete-dialog");
  if (!dialog) return;
  document.addEventListener("click", (event) => {
    const trigger = event.target.closest("[data-delete-url]");
    if (!trigger) return;
    event.preventDefault();
    const form = dialog.querySelector("form");
    form.reset(); // the reason that was chosen for another record is not one for this
    form.action = trigger.dataset.deleteUrl;
    dialog.querySelector("[data-delete-patient]").textContent = trigger.dataset.deletePatient;
    dialog.querySelector("[data-delete-detail]").textContent = trigger.dataset.deleteDetail;
    dialog.querySelector("[data-delete-shared]").hidden = !("deleteIsShared" in trigger.dataset);
    dialog.showModal();
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  // A click on the backdrop is one on the dialog itself, not on what is in it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

// A search swaps the table; a reader that cannot see that is told how many readings are left.
function sayWhatSearchFound() {
  const said = document.querySelector("[data-said]");
  if (!said) return;
  document.body.addEventListener("htmx:afterSwap", (event) => {
    said.textContent = event.target.querySelector("[data-say]")?.textContent.trim() ?? "";
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
askBeforeDeleting();
sayWhatSearchFound();
dismissNotices();
printOnDemand();
focusErrorSummary();
