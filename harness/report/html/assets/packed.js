"use strict";
// The numbers of a page's charts: 32-bit floats in base64, time series in two letters a value.
const Packed = (data) => {
  const decoded = new Map();
  const column = (place) => {
    if (!decoded.has(place)) {
      const bytes = Uint8Array.from(atob(data.columns[place]), (letter) => letter.charCodeAt(0));
      decoded.set(place, [...new Float32Array(bytes.buffer)]);
    }
    return decoded.get(place);
  };
  const points = (x, y) => column(x).map((value, at) => [value, column(y)[at]]);
  const interval = (low, high) => (Number.isNaN(low) ? null : [low, high]);
  const unpacked = (series) => ({
    case: series.case,
    lines: (series.lines ?? []).map(([x, y, style]) => [points(x, y), style]),
    bands: (series.bands ?? []).map(([a, b, c, d]) => [points(a, b), points(c, d)]),
    dots: series.dots
      ? column(series.dots[0]).map((x, at) => {
          const [, y, left, right, low, high, runs] = series.dots.map((place) => column(place)[at]);
          return { x, y, across: interval(left, right), up: interval(low, high), runs };
        })
      : [],
  });
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const values = (text) =>
    Array.from({ length: text.length / 2 }, (_, at) => {
      const code = LETTERS.indexOf(text[2 * at]) * 64 + LETTERS.indexOf(text[2 * at + 1]);
      return code ? 10 ** (-3 + ((code - 1) / 4094) * 10) : null;
    });
  const timeline = ({ case: slot, series }) => {
    const median = values(series.median),
      most = values(series.most),
      at = (place) => (place + 0.5) * series.slice;
    const slices = median.flatMap((value, place) => (value === null ? [] : [[at(place), value, most[place]]]));
    return {
      case: slot,
      bands: [],
      dots: [],
      slices,
      lost: new Map(series.lost.map(([place, count]) => [at(place), count])),
      lines: [[slices.map(([x, middle]) => [x, middle]), "thin"]],
      needles: slices.filter(([, middle, high]) => high > middle),
      losses: series.lost.map(([place]) => at(place)),
    };
  };
  return { unpacked, timeline };
};
