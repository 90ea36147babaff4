"use strict";
// Makes a button of every column's heading: it sorts the table's rows up, then down, then as they were. A table with
// nothing to sort can be reached by the keyboard too, to scroll it.
(() => {
  const NUMBER = /[-+−]?\d[\d\u202f,]*(?:\.\d+)?(?:e[-+]?\d+)?/gi;
  const BLANK = /^(?:[–-]|nan|none)?$/i, NUMERIC = /^[<>]? ?[-+−]?\d/;
  const text = (row, column) => (row.cells[column]?.textContent ?? "").trim().replace(/[ \t\n]+/g, " ");
  const numbers = (said) => (said.match(NUMBER) ?? []).map((each) =>
    Number(each.replace(/[\u202f,]/g, "").replace("−", "-")) * (said.startsWith("<") ? 0.999 : 1));

  function order(rows, column) { // the rows without a value come last, whichever way the others go
    const said = new Map(rows.map((row) => [row, text(row, column)]));
    const blank = rows.filter((row) => BLANK.test(said.get(row)));
    const known = rows.filter((row) => !blank.includes(row));
    const numeric = known.every((row) => NUMERIC.test(said.get(row)));
    const byNumbers = (one, other) => {
      const [first, second] = [numbers(said.get(one)), numbers(said.get(other))];
      const at = first.findIndex((each, place) => each !== second[place]);
      return at < 0 ? first.length - second.length : second.length <= at ? 1 : first[at] - second[at];
    };
    const byText = (one, other) => said.get(one).localeCompare(said.get(other), undefined, { numeric: true });
    return { known: known.sort(numeric ? byNumbers : byText), blank };
  }

  function columns(head) { // each heading above a single column, with the number of that column
    const taken = [], found = [];
    [...head.rows].forEach((row, line) => [...row.cells].forEach((cell) => {
      let column = 0;
      while (taken[line]?.[column]) column += 1;
      for (let down = 0; down < cell.rowSpan; down += 1)
        for (let right = 0; right < cell.colSpan; right += 1) (taken[line + down] ??= [])[column + right] = true;
      if (cell.colSpan === 1 && line + cell.rowSpan === head.rows.length) found.push([cell, column]);
    }));
    return found;
  }

  for (const table of document.querySelectorAll("table")) {
    const [head, body] = [table.tHead, table.tBodies[0]], rows = [...(body?.rows ?? [])];
    if (!head || rows.length < 2) {
      const place = table.closest(".scroll");
      if (place) Object.assign(place, { tabIndex: 0, role: "group", ariaLabel: table.caption?.textContent ?? "Table" });
      continue;
    }
    for (const [cell, column] of columns(head)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "" }[cell.getAttribute("aria-sort")] ?? "ascending";
        for (const each of head.querySelectorAll("[aria-sort]")) each.removeAttribute("aria-sort");
        if (next) cell.setAttribute("aria-sort", next);
        const { known, blank } = order([...rows], column);
        body.append(...(next ? [...(next === "descending" ? known.reverse() : known), ...blank] : rows));
      });
    }
  }
})();
