"use strict";
// Everything here is comfort: without it the page still shows every chart and every number.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const root = document.documentElement;
  root.classList.add("script");

  // -- Theme: the system's unless somebody chose; a page from disk may be denied storage, which is no harm.
  const store = {
    get() {
      try {
        return localStorage.getItem("pollbench-theme");
      } catch {
        return null;
      }
    },
    set(value) {
      try {
        localStorage.setItem("pollbench-theme", value);
      } catch {
        /* not kept */
      }
    },
  };
  const setTheme = (choice) => {
    if (choice === "system") delete root.dataset.theme;
    else root.dataset.theme = choice;
    for (const button of all("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
  };
  setTheme(["light", "dark"].includes(store.get()) ? store.get() : "system");
  for (const button of all("[data-theme-choice]")) {
    button.addEventListener("click", () => {
      setTheme(button.dataset.themeChoice);
      store.set(button.dataset.themeChoice);
      Live.redraw();
    });
  }

  // -- Contents: a link per section, the one in view marked.
  const contents = one("#contents");
  const links = new Map();
  let set = null;
  for (const part of all("main section[id]")) {
    const mine = part.closest(".set");
    if (mine && mine !== set) {
      const name = document.createElement("strong");
      name.textContent = mine.dataset.label;
      contents.append(name);
    }
    set = mine;
    const link = document.createElement("a");
    link.href = `#${part.id}`;
    link.textContent = part.dataset.short || one("h2", part).textContent;
    contents.append(link);
    links.set(part, link);
  }
  if ("IntersectionObserver" in window) {
    const watcher = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (!entry.isIntersecting) continue;
          for (const link of links.values()) link.removeAttribute("aria-current");
          links.get(entry.target).setAttribute("aria-current", "true");
        }
      },
      { rootMargin: "-20% 0px -70% 0px" },
    );
    for (const part of links.keys()) watcher.observe(part);
  }

  // -- Cases on and off, in every chart and table that has them.
  for (const button of all("[data-toggle]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const other of all(`[data-toggle="${button.dataset.toggle}"]`))
        other.setAttribute("aria-pressed", String(on));
      for (const part of all(`.k[data-k="${button.dataset.toggle}"]`)) part.classList.toggle("off", !on);
      Live.redraw();
    });
  }

  // -- Heat map: which figure the colours show.
  for (const button of all("[data-heat]")) {
    button.addEventListener("click", () => {
      const box = button.closest(".heat");
      for (const tab of all("[data-heat]", box)) tab.setAttribute("aria-pressed", String(tab === button));
      for (const table of all("[data-heat-of]", box)) table.hidden = table.dataset.heatOf !== button.dataset.heat;
    });
  }

  // -- Reading charts by mouse, touch and arrow keys.
  const hide = () => {
    Tip.hide();
    for (const cross of all(".cross")) cross.remove();
    for (const point of all(".pt.here")) point.classList.remove("here");
  };
  const scaleOf = (words) => {
    const [kind, ...numbers] = words.split(" ");
    const [low, high, start, stop] = numbers.map(Number);
    const [from, to] = kind === "log" ? [Math.log10(low), Math.log10(high)] : [low, high];
    return {
      start,
      stop,
      value: (pixel) => {
        const v = from + ((pixel - start) / (stop - start)) * (to - from);
        return kind === "log" ? 10 ** v : v;
      },
    };
  };
  const { share, time } = Marks;
  const pointsOf = (path) =>
    path
      .getAttribute("d")
      .slice(1)
      .split("L")
      .map((pair) => pair.split(" ").map(Number));

  const readCurves = (svg, y) => {
    const across = scaleOf(svg.dataset.x),
      down = scaleOf(svg.dataset.y);
    const level = Math.min(Math.max(y, Math.min(down.start, down.stop)), Math.max(down.start, down.stop));
    const lines = [
      svg.dataset.read === "share"
        ? `${share(down.value(level))} answered within`
        : `${share(down.value(level))} take longer than`,
    ];
    for (const group of all("g.k:not(.off)", svg)) {
      const points = all("path.line", group).flatMap(pointsOf);
      for (let i = 1; i < points.length; i += 1) {
        const [[x1, y1], [x2, y2]] = [points[i - 1], points[i]];
        if ((y1 - level) * (y2 - level) <= 0 && y1 !== y2) {
          lines.push(`${group.dataset.case}: ${time(across.value(x1 + ((level - y1) / (y2 - y1)) * (x2 - x1)))}`);
          break;
        }
      }
    }
    let cross = one(".cross", svg);
    if (!cross) {
      cross = document.createElementNS(svg.namespaceURI, "line");
      cross.setAttribute("class", "cross");
      svg.append(cross);
    }
    for (const [name, value] of [
      ["x1", across.start],
      ["x2", across.stop],
      ["y1", level],
      ["y2", level],
    ])
      cross.setAttribute(name, value);
    return lines.join("\n");
  };
  const place = (svg, event) => {
    const matrix = svg.getScreenCTM();
    return [(event.clientX - matrix.e) / matrix.a, (event.clientY - matrix.f) / matrix.d];
  };
  const steps = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999];
  for (const svg of all("svg.chart[data-kind]")) {
    let at = -1;
    if (svg.dataset.kind === "curve") {
      svg.addEventListener("pointermove", (event) =>
        Tip.show(readCurves(svg, place(svg, event)[1]), event.clientX, event.clientY),
      );
    } else {
      for (const point of all(".pt", svg))
        point.addEventListener("pointerenter", (event) => Tip.show(point.dataset.tip, event.clientX, event.clientY));
    }
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", () => {
      at = -1;
      hide();
    });
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!move) return;
      event.preventDefault();
      hide();
      const box = svg.getBoundingClientRect();
      if (svg.dataset.kind === "curve") {
        at = Math.min(Math.max(at + move, 0), steps.length - 1);
        const down = scaleOf(svg.dataset.y);
        const wanted = svg.dataset.read === "share" ? steps[at] : 1 - steps[at];
        let low = Math.min(down.start, down.stop),
          high = Math.max(down.start, down.stop);
        const rising = down.value(low) < down.value(high);
        for (let i = 0; i < 40; i += 1) {
          const middle = (low + high) / 2;
          if (down.value(middle) < wanted === rising) low = middle;
          else high = middle;
        }
        Tip.show(
          readCurves(svg, low),
          box.left + box.width / 2,
          box.top + (low * box.width) / svg.viewBox.baseVal.width,
        );
      } else {
        const points = all("g.k:not(.off) .pt", svg);
        if (!points.length) return;
        at = (at + move + points.length) % points.length;
        points[at].classList.add("here");
        const spot = points[at].getBoundingClientRect();
        Tip.show(points[at].dataset.tip, spot.left + spot.width / 2, spot.top + spot.height / 2);
      }
    });
  }

  // -- Tables of runs: filter, sort, and a first hundred rows.
  const FIRST = 100;
  for (const box of all(".runlist")) {
    const body = one("tbody", box),
      rows = all("tr", body),
      total = rows.length;
    const find = one(".find", box),
      pickCase = one(".pick-case", box),
      pickVerdict = one(".pick-verdict", box);
    const count = one(".count", box),
      more = one(".more", box);
    let everything = false;
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const update = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let matches = 0;
      for (const row of body.rows) {
        const fits =
          (!pickCase.value || row.dataset.case === pickCase.value) &&
          (!pickVerdict.value || row.dataset.verdict === pickVerdict.value) &&
          words.every((word) => texts.get(row).includes(word));
        matches += fits;
        row.hidden = !fits || (!everything && matches > FIRST);
      }
      count.textContent =
        matches === total
          ? `${total.toLocaleString("en")} runs`
          : `${matches.toLocaleString("en")} of ${total.toLocaleString("en")} runs`;
      more.parentElement.hidden = everything || matches <= FIRST;
      more.textContent = `Show all ${matches.toLocaleString("en")}`;
    };
    for (const control of [find, pickCase, pickVerdict]) control.addEventListener("input", update);
    more.addEventListener("click", () => {
      everything = true;
      update();
    });
    const heads = all("thead th", box);
    heads.forEach((head, column) =>
      one(".sort", head).addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const numeric = head.dataset.type === "number";
        const value = (row) => {
          const text = row.cells[column].textContent.trim();
          return numeric ? (text === "" || text === "-" ? null : Number(text.replaceAll(",", ""))) : text || null;
        };
        const keyed = [...body.rows].map((row) => [value(row), row]);
        keyed.sort(([a], [b]) => {
          // Blanks last, whichever way.
          if (a === null || b === null) return (a === null) - (b === null);
          const way = numeric ? a - b : a.localeCompare(b, "en", { numeric: true });
          return down ? -way : way;
        });
        body.append(...keyed.map(([, row]) => row));
        update();
      }),
    );
    update();
  }

  // -- A run's row leads to its time series.
  for (const link of all("[data-run]")) link.addEventListener("click", () => Live.showRun(link.dataset.run));
})();
