"use strict";
// What is read off the chosen chart, at a place in pixels of its plot: values with their intervals, in words.
const Reading = (() => {
  const crossing = (line, level) => {
    for (let at = 1; at < line.length; at += 1) {
      const [[x1, y1], [x2, y2]] = [line[at - 1], line[at]];
      if ((y1 - level) * (y2 - level) <= 0 && y1 !== y2) return x1 * (x2 / x1) ** ((level - y1) / (y2 - y1));
    }
    return null;
  };
  const between = (ends, scale) => (ends ? ` [${ends.map((end) => Marks.word(end, scale)).join(" – ")}]` : "");
  const dotWords = (view, series, dot) => {
    const { x, y } = view.axes,
      name = view.look(series.case).name,
      runs = `, ${dot.runs} ${dot.runs === 1 ? "run" : "runs"}`;
    if (y.scale.kind === "names") return `${name}: ${Marks.word(dot.x, x.scale)}${between(dot.across, x.scale)}${runs}`;
    const up = `${Marks.word(dot.y, y.scale)}${between(dot.up, y.scale)}`;
    if (!view.named) return `${name}: ${up}${runs}`;
    return `${name}\n${x.scale.name}: ${Marks.word(dot.x, x.scale)}${between(dot.across, x.scale)}\n${y.scale.name}: ${up}${runs}`;
  };
  const readCurves = ({ chart, view }, level) => {
    const lines = [
      chart.reads === "share" ? `${Marks.share(level)} answered within` : `${Marks.share(level)} take longer than`,
    ];
    for (const series of view.shown) {
      const hits = series.lines.map(([line]) => crossing(line, level)).filter((hit) => hit !== null);
      if (!hits.length) continue;
      const span = series.bands
        .flatMap(([high, low]) => [crossing(low, level), crossing(high, level)])
        .filter((end) => end !== null);
      const ends =
        span.length === 2
          ? `, runs${between(
              span.sort((a, b) => a - b),
              view.axes.x.scale,
            )}`
          : "";
      lines.push(`${view.look(series.case).name}: ${Marks.time(hits[0])}${ends}`);
    }
    return lines.join("\n");
  };
  const readDots = ({ view, plot }, left, top) => {
    const near = view.shown.flatMap((series) =>
      series.dots.map((dot) => ({
        series,
        dot,
        far: Math.hypot(plot.valToPos(dot.x, "x") - left, plot.valToPos(dot.y, "y") - top),
      })),
    );
    const nearest = near.sort((a, b) => a.far - b.far)[0];
    if (!nearest) return "";
    if (view.named || view.axes.y.scale.kind === "names") return dotWords(view, nearest.series, nearest.dot);
    const beside = view.shown.flatMap((series) =>
      series.dots.filter((dot) => dot.x === nearest.dot.x).map((dot) => dotWords(view, series, dot)),
    );
    return [`${view.axes.x.scale.name} ${Marks.tick(nearest.dot.x, view.axes.x.scale)}`, ...beside].join("\n");
  };
  const readTime = ({ view, plot }, left) => {
    const at = plot.posToVal(left, "x"),
      [series] = view.shown;
    if (!series?.slices.length) return "No request was answered";
    const [x, middle, most] = series.slices.reduce((best, slice) =>
      Math.abs(slice[0] - at) < Math.abs(best[0] - at) ? slice : best,
    );
    const lost = series.lost.get(x);
    return `at ${x.toFixed(3)} s\nmedian ${Marks.time(middle)}\ngreatest ${Marks.time(most)}${lost ? `\n${lost} lost` : ""}`;
  };
  const read = (scene, left, top) => {
    const { chart, plot } = scene;
    if (chart.run) return readTime(scene, left);
    if (chart.reads !== "points") return readCurves(scene, Math.min(Math.max(plot.posToVal(top, "y"), 0), 1));
    return readDots(scene, left, top);
  };
  // By keyboard: the quantiles people quote, every marker, or the time in steps.
  const stops = ({ chart, view, plot }) => {
    const { x, y } = view.axes,
      middle = plot.over.clientWidth / 2;
    if (chart.run) return Array.from({ length: 25 }, (_, at) => [(plot.over.clientWidth * at) / 24, 20]);
    if (chart.reads === "points") {
      const places = view.shown.flatMap((series) =>
        series.dots.map((dot) => [plot.valToPos(dot.x, "x"), plot.valToPos(dot.y, "y")]),
      );
      return places.sort((a, b) => (y.scale.kind === "names" ? a[1] - b[1] : a[0] - b[0] || a[1] - b[1]));
    }
    const shares = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999].map((share) => (chart.reads === "share" ? share : 1 - share));
    return shares.filter((share) => share >= y.range[0]).map((share) => [middle, plot.valToPos(share, "y")]);
  };
  return { read, stops };
})();
