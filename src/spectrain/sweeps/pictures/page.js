"use strict";
// The table of trials is sorted by the title that is clicked; what has no value stays at the end.
const table = document.querySelector("table.trials");
if (table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, at) => {
    const cell = row.cells[at];
    const text = "sort" in cell.dataset ? cell.dataset.sort : cell.textContent;
    const value = Number(text);
    return text === "" ? null : Number.isNaN(value) ? text : value;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, at), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return down ? compare(b, a) : compare(a, b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// Whatever is of the trial under the pointer lights up, in every picture and in the table.
const light = (trial) => {
  for (const part of document.querySelectorAll(".lit")) part.classList.remove("lit");
  for (const picture of document.querySelectorAll(".picture")) {
    const parts = trial === null ? [] : picture.querySelectorAll(`[data-trial="${trial}"]`);
    picture.classList.toggle("dim", parts.length > 0);
    for (const part of parts) part.classList.add("lit");
  }
  if (trial !== null) table?.querySelector(`tr[data-trial="${trial}"]`)?.classList.add("lit");
};
document.addEventListener("pointerover", (event) => {
  light(event.target.closest?.("[data-trial]")?.dataset.trial ?? null);
});
