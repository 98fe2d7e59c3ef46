"use strict";
// The chart that a reader chooses: its questions, its switches, what is read off it, and the files it leaves as.
const Live = (() => {
  const one = (selector) => document.querySelector(selector);
  const source = one("#charts");
  if (!source) return { redraw() {}, showRun() {} };
  const data = JSON.parse(source.textContent);
  const host = one("#live-chart"),
    form = one("#answers"),
    title = one("#live-title"),
    numbers = one("#live-numbers");
  const cases = new Map(
    data.cases.map(([slot, name, light, dark, shape, dash]) => [
      slot,
      { name, light, dark, shape, dash: dash ? dash.split(" ").map(Number) : [] },
    ]),
  );
  const { unpacked, timeline } = Packed(data);
  const { element } = Saving;
  // What was chosen; log and range only where they are not the chart's own.
  const state = { answers: {}, log: {}, range: null, at: -1 };
  let chart = null,
    view = null,
    plot = null;

  // -- Questions: each answer leaves fewer charts, until one is left.
  const choose = () => {
    let left = data.charts;
    const asked = [];
    for (;;) {
      const question = Object.keys(left[0].answers).find((name) => !asked.some(([other]) => other === name));
      if (question === undefined) break;
      const open = [...new Set(left.map((one) => one.answers[question]).filter((answer) => answer !== undefined))];
      const answer = open.includes(state.answers[question]) ? state.answers[question] : open[0];
      asked.push([question, answer, open]);
      left = left.filter((one) => one.answers[question] === answer);
    }
    return [left[0], asked];
  };
  const ask = (asked) => {
    const focus = document.activeElement?.dataset?.question;
    form.replaceChildren();
    for (const [question, answer, open] of asked) {
      if (open.length < 2) continue;
      const select = element(
        "select",
        {},
        ...open.map((text) => element("option", { textContent: text, value: text, selected: text === answer })),
      );
      select.dataset.question = question;
      select.addEventListener("input", () => answerWith(question, select.value));
      form.append(element("label", {}, `${question} `, select));
      if (question === "Run") {
        const step = (by) => answerWith(question, open[(open.indexOf(answer) + by + open.length) % open.length]);
        for (const [text, by] of [
          ["previous", -1],
          ["next", 1],
        ]) {
          const button = element("button", { type: "button", textContent: text });
          button.dataset.question = text;
          button.addEventListener("click", () => step(by));
          form.append(button);
        }
      }
      if (focus) form.querySelector(`[data-question="${CSS.escape(focus)}"]`)?.focus();
    }
  };
  const answerWith = (question, answer) => {
    Object.assign(state, { answers: { ...state.answers, [question]: answer }, log: {}, range: null, at: -1 });
    Tip.hide();
    render();
  };

  // -- What is drawn
  const extent = (series, axis) => {
    const all = series
      .flatMap((one) => [
        ...one.lines.flatMap(([line]) => line.map((point) => point[axis])),
        ...one.dots.flatMap((dot) => [axis ? dot.y : dot.x, ...((axis ? dot.up : dot.across) ?? [])]),
        ...(one.needles ?? []).map((needle) => (axis ? needle[2] : needle[0])),
      ])
      .filter(Number.isFinite);
    const positive = all.filter((value) => value > 0);
    return {
      low: Math.min(...all),
      high: Math.max(...all),
      least: Math.min(...positive),
      log: positive.length > 0,
    };
  };
  const axisOf = (name, scale, series) => {
    const reach = extent(series, name === "y" ? 1 : 0);
    const fixed = scale.kind === "names" || !reach.log;
    const log = fixed ? false : (state.log[name] ?? scale.log);
    const own =
      log === scale.log
        ? [scale.low, scale.high]
        : log
          ? [reach.least / 1.2, reach.high * 1.2]
          : [Math.min(0, reach.low), reach.high * 1.05];
    return { scale, log, fixed, range: state.range?.[name] ?? own };
  };
  const dark = () => {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const colorOf = (name) => {
    host.style.color = `var(--${name})`;
    const color = getComputedStyle(host).color;
    host.style.color = "";
    return color;
  };
  const looks = (night) => (slot) => {
    const mark = cases.get(slot);
    return mark
      ? { ...mark, color: night ? mark.dark : mark.light }
      : { name: "", color: night ? "#9aa6b2" : "#5a6470", shape: "circle", dash: [] };
  };
  const words = (asked) =>
    asked
      .filter(([question]) => !["Chart", "Figure", "Across", "Set"].includes(question))
      .map(([question, answer]) => (question === "Run" ? answer : `${question} = ${answer}`))
      .join(", ");
  const titleOf = (asked) => {
    const answers = Object.fromEntries(asked.map(([question, answer]) => [question, answer]));
    const lead =
      answers.Chart === "Figures"
        ? `${answers.Figure} by ${answers.Across}`
        : [answers.Chart, answers.Figure].filter(Boolean).join(": ");
    return [answers.Set, lead, words(asked)].filter(Boolean).join(" · ");
  };
  const render = () => {
    const [next, asked] = choose();
    ask(asked);
    const off = new Set(
      [...document.querySelectorAll('[data-toggle][aria-pressed="false"]')].map((button) =>
        Number(button.dataset.toggle),
      ),
    );
    if (next !== chart)
      ((chart = next), (chart.all = chart.all ?? (chart.run ? [timeline(chart)] : chart.marks.map(unpacked))));
    const [x, y] = chart.run ? data.time : chart.scales.map((place) => data.scales[place]);
    const axes = { x: axisOf("x", x, chart.all), y: axisOf("y", y, chart.all) };
    const lone = chart.all.every((series) => series.case === null || !series.lines.length);
    view = {
      axes,
      title: titleOf(asked),
      shown: chart.all.filter((series) => !off.has(series.case)),
      look: looks(dark()),
      lost: colorOf("bad"),
      onPaper: looks(false),
      named: lone && y.kind !== "names" && x.kind !== "names" && chart.reads === "points",
    };
    title.textContent = view.title;
    host.setAttribute("aria-label", view.title);
    for (const name of ["x", "y"])
      Object.assign(one(`#log-${name}`), { checked: axes[name].log, disabled: axes[name].fixed });
    draw();
    if (one("#live details").open) tabulate();
  };
  const scene = () => ({ chart, view, plot });
  const tabulate = () => numbers.replaceChildren(...Saving.table(scene()));
  const draw = () => {
    plot?.destroy();
    const { x, y } = view.axes,
      ink = colorOf("quiet"),
      rule = colorOf("grid");
    const width = Math.max(host.clientWidth, 280);
    const letters = y.scale.kind === "names" ? Math.max(...y.scale.names.map((name) => name.length)) : 0;
    const axis = (of, size, most) => ({
      size,
      stroke: ink,
      label: of.scale.name || undefined,
      labelSize: 18,
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
      grid: { stroke: rule, width: 1 },
      ticks: { stroke: rule, width: 1, size: 4 },
      filter: (_, splits) => splits,
      splits: () => Marks.ticks(of.scale, of.range, of.log, most),
      values: (_, splits) =>
        splits
          .map((value) => Marks.tick(value, of.scale))
          .map((text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text)),
    });
    const rows = y.scale.kind === "names" ? y.scale.names.length * 26 + 70 : 0;
    const scaleOf = (of) => ({ time: false, distr: of.log ? 3 : 1, range: () => of.range });
    plot = new uPlot(
      {
        width,
        height: Math.max(rows, Math.min(Math.max(width * 0.55, 300), 460)),
        legend: { show: false },
        padding: [10, 16, 0, 0],
        scales: { x: scaleOf(x), y: scaleOf(y) },
        // The library keeps axes, zoom and crosshair; the marks are ours, so that a file gets the same ones.
        series: [{}, { paths: () => null, points: { show: false } }],
        axes: [
          axis(x, 34, width < 500 ? 4 : 8),
          axis(y, letters ? Math.min(letters * 7 + 14, 180, width * 0.4) : 62, 7),
        ],
        cursor: {
          drag: { x: x.scale.kind !== "names", y: y.scale.kind !== "names", uni: 12, setScale: false },
          points: { show: false },
          bind: { dblclick: () => null },
        },
        hooks: {
          draw: [
            (u) => {
              const box = [u.bbox.left, u.bbox.top, u.bbox.left + u.bbox.width, u.bbox.top + u.bbox.height];
              const place = ([a, b]) => [u.valToPos(a, "x", true), u.valToPos(b, "y", true)];
              u.ctx.save();
              Marks.marks(new Marks.CanvasPen(u.ctx, uPlot.pxRatio), { ...view, place }, box);
              u.ctx.restore();
            },
          ],
          setSelect: [
            (u) => {
              const { left, top, width: wide, height: high } = u.select;
              if (wide < 4 && high < 4) return;
              const across = wide >= 4 ? [u.posToVal(left, "x"), u.posToVal(left + wide, "x")] : x.range;
              const up = high >= 4 ? [u.posToVal(top + high, "y"), u.posToVal(top, "y")] : y.range;
              zoomTo(across, up);
            },
          ],
        },
      },
      [x.range, y.range],
      host,
    );
    plot.over.addEventListener("pointermove", (event) => {
      const box = plot.over.getBoundingClientRect();
      const text = Reading.read(scene(), event.clientX - box.left, event.clientY - box.top);
      if (text) Tip.show(text, event.clientX, event.clientY);
      else Tip.hide();
    });
    plot.over.addEventListener("pointerleave", Tip.hide);
    plot.over.addEventListener("dblclick", () => zoom("whole"));
  };

  // -- Zoom
  const zoomTo = (x, y) => {
    state.range = { x, y };
    state.at = -1;
    Tip.hide();
    render();
  };
  const zoom = (way) => {
    if (way === "whole") {
      state.range = null;
      render();
      return;
    }
    const closer = ({ scale, range, log }) => {
      if (scale.kind === "names") return range;
      const part = way === "in" ? 0.2 : -1 / 3;
      return [Marks.back(part, range, log), Marks.back(1 - part, range, log)];
    };
    zoomTo(closer(view.axes.x), closer(view.axes.y));
  };

  host.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const way = { "+": "in", "=": "in", "-": "out", 0: "whole" }[event.key];
    if (event.key === "Escape") Tip.hide();
    if (way) zoom(way);
    if (!move && !way) return;
    event.preventDefault();
    const places = move ? Reading.stops(scene()) : [];
    if (!places.length) return;
    state.at = (state.at + move + places.length) % places.length;
    const [left, top] = places[state.at],
      box = plot.over.getBoundingClientRect();
    plot.setCursor({ left, top });
    Tip.show(Reading.read(scene(), left, top), box.left + left, box.top + top);
  });
  host.addEventListener("blur", Tip.hide);

  // -- Controls
  for (const button of document.querySelectorAll("[data-zoom]"))
    button.addEventListener("click", () => zoom(button.dataset.zoom));
  for (const button of document.querySelectorAll("[data-save]"))
    button.addEventListener("click", () => Saving.saves[button.dataset.save](scene()));
  for (const name of ["x", "y"])
    one(`#log-${name}`).addEventListener("input", (event) => {
      state.log[name] = event.target.checked;
      state.range = null;
      render();
    });
  one("#live details").addEventListener("toggle", tabulate);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth !== width) {
      width = host.clientWidth;
      render();
    }
  }).observe(host);
  const showRun = (run) => {
    const { answers } = data.charts.find((one) => one.run === run) ?? {};
    if (answers) {
      Object.assign(state, { answers: { ...state.answers, ...answers }, log: {}, range: null, at: -1 });
      render();
    }
  };
  return { redraw: render, showRun, range: (axis) => view.axes[axis].range };
})();
