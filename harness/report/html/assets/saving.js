"use strict";
// The chosen chart as a table, and as the files that it leaves as: CSV, SVG, PNG.
const Saving = (() => {
  const element = (name, attributes = {}, ...content) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...content);
    return made;
  };
  const rows = ({ chart, view }) => {
    const { x, y } = view.axes;
    if (chart.run)
      return [
        ["time, s", "median, us", "greatest, us", "lost"],
        ...(view.shown[0]?.slices ?? []).map(([at, middle, most]) => [
          at,
          middle,
          most,
          view.shown[0].lost.get(at) ?? 0,
        ]),
      ];
    const [across, up] = [x, y].map(
      ({ scale }, at) =>
        (scale.name || (scale.kind === "names" ? "case" : "xy"[at])) +
        (scale.kind === "time" && !/[µ(]/.test(scale.name) ? ", µs" : ""),
    );
    const value = (of, number) => (of.scale.kind === "names" ? of.scale.names[Math.round(number)] : number);
    const head = ["case", across, `${across}: low`, `${across}: high`, up, `${up}: low`, `${up}: high`, "runs"];
    const body = view.shown
      .filter((series) => series.case !== null)
      .flatMap((series) => {
        const { name } = view.look(series.case);
        if (series.dots.length) {
          return series.dots.map((dot) => [
            name,
            value(x, dot.x),
            ...(dot.across ?? ["", ""]),
            value(y, dot.y),
            ...(dot.up ?? ["", ""]),
            dot.runs,
          ]);
        }
        return series.lines
          .flatMap(([line]) => line)
          .map(([a, b]) => {
            const span = series.bands.flatMap(([high, low]) =>
              [low, high].map((edge) => edge.find((point) => point[1] === b)?.[0] ?? ""),
            );
            return [name, a, ...(span.length ? span : ["", ""]), b, "", "", ""];
          });
      });
    const kept = head.map(
      (_, at) => body.some((row) => row[at] !== "" && row[at] !== undefined) && !(at === 4 && y.scale.kind === "names"),
    );
    return [head, ...body].map((row) => row.filter((_, at) => kept[at]));
  };
  const figures = (field) => (typeof field === "number" ? String(Number(field.toPrecision(7))) : field);
  const csv = (scene) =>
    rows(scene)
      .map((row) =>
        row
          .map((field) => {
            const text = String(figures(field));
            return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
          })
          .join(","),
      )
      .join("\n") + "\n";
  const table = (scene) => {
    const [head, ...body] = rows(scene);
    const MOST = 500;
    const line = (row, name) =>
      element(
        "tr",
        {},
        ...row.map((field) =>
          element(name, {
            textContent:
              typeof field === "number"
                ? Number(field.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 })
                : field,
            className: typeof field === "number" ? "num" : "",
          }),
        ),
      );
    const table = element(
      "table",
      {},
      element("thead", {}, line(head, "th")),
      element("tbody", {}, ...body.slice(0, MOST).map((row) => line(row, "td"))),
    );
    const box = element(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Table: numbers of this chart" },
      table,
    );
    return [
      box,
      ...(body.length > MOST
        ? [
            element("p", {
              className: "note",
              textContent: `The first ${MOST} of ${body.length} rows; CSV has them all.`,
            }),
          ]
        : []),
    ];
  };
  const save = (view, content, ending, type) => {
    const link = element("a", {
      href: URL.createObjectURL(new Blob([content], { type })),
      download: `${fileName(view)}.${ending}`,
    });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const fileName = (view) =>
    `pollbench-${view.title
      .toLowerCase()
      .replace(/[^a-z0-9.]+/g, "-")
      .replace(/^-|-$/g, "")
      .slice(0, 80)}`;
  const size = (view) => [960, Math.max(560, view.axes.y.scale.names.length * 26 + 160)];
  const paper = (view) => ({ ...view, look: view.onPaper, lost: "#a3260f" });
  const saves = {
    csv: (scene) => save(scene.view, csv(scene), "csv", "text/csv"),
    svg: ({ view }) => {
      const pen = new Marks.SvgPen(...size(view));
      Marks.figure(pen, paper(view), size(view));
      save(view, pen.toString(), "svg", "image/svg+xml");
    },
    png: ({ view }) => {
      const [width, height] = size(view),
        canvas = element("canvas", { width: width * 2, height: height * 2 }),
        context = canvas.getContext("2d");
      context.scale(2, 2);
      Marks.figure(new Marks.CanvasPen(context), paper(view), [width, height]);
      canvas.toBlob((blob) => save(view, blob, "png", "image/png"));
    },
  };
  return { element, table, saves };
})();
