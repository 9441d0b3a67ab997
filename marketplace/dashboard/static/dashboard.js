// What pages do beyond HTML: charts, whether a page is live, and that a form is sent once. Everything works without it.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("script");

  // ── charts: the numbers are in data-points, which the stream changes ──────────────────────────────────────────────
  const drawn = new Map();
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

  function axes(points) {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const times = { values: (_, splits) => splits.map((at) => written(at, points.step)), space: 70 };
    return [{ ...axis, ...(points.time ? times : {}) }, { ...axis, size: 62 }];
  }

  // In UTC, as everywhere on these pages.
  function written(at, step) {
    const text = new Date(at * 1000).toISOString();
    return step >= 86400 ? text.slice(5, 10) : text.slice(11, 16);
  }
  const whole = (_, at) => (at == null ? "--" : new Date(at * 1000).toISOString().slice(0, 16).replace("T", " "));

  const candles = (step) => (chart) => {
    const [times, opens, highs, lows, closes] = chart.data;
    const { ctx } = chart;
    const width = Math.max(2, Math.min(14, 0.7 * Math.abs(chart.valToPos(step, "x", true) - chart.valToPos(0, "x", true))));
    ctx.save();
    times.forEach((at, i) => {
      const [x, top, bottom, from, to] = [chart.valToPos(at, "x", true),
        ...[highs[i], lows[i], opens[i], closes[i]].map((price) => chart.valToPos(price, "y", true))];
      ctx.fillStyle = ctx.strokeStyle = colour(closes[i] >= opens[i] ? "bid" : "ask");
      ctx.fillRect(x - 0.5, top, 1, bottom - top);
      ctx.fillRect(x - width / 2, Math.min(from, to), width, Math.max(1, Math.abs(from - to)));
    });
    ctx.restore();
  };

  const kinds = {
    depth: {
      columns: ["price", "bids", "supplies"],
      options: () => ({
        scales: { x: { time: false }, y: { range: (_, low, high) => [0, high || 1] } },
        series: [
          { label: "Price" },
          { label: "Bids", stroke: colour("bid"), fill: colour("bid-soft"), width: 2, spanGaps: true,
            points: { show: false }, paths: uPlot.paths.stepped({ align: -1 }) },
          { label: "Supply", stroke: colour("ask"), fill: colour("ask-soft"), width: 2, spanGaps: true,
            points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) },
        ],
      }),
    },
    line: {
      columns: ["time", "value"],
      options: () => ({
        scales: { x: { time: true } },
        series: [{ label: "Time", value: whole }, { label: "Value", stroke: colour("accent"), width: 2, points: { show: false } }],
      }),
    },
    prices: {
      columns: ["time", "price", "reserve"],
      options: () => ({
        scales: { x: { time: true }, y: { range: (_, low, high) => [0, high * 1.15 || 1] } },
        series: [
          { label: "Time", value: whole },
          { label: "Price", stroke: colour("accent"), fill: colour("line"), width: 2, points: { show: false },
            paths: uPlot.paths.stepped({ align: 1 }) },
          { label: "Reserve", stroke: colour("ask"), width: 1, dash: [5, 4], points: { show: false } },
        ],
      }),
    },
    candles: {
      columns: ["time", "open", "high", "low", "close"],
      options: ({ step }) => ({
        scales: { x: { time: true, range: ({ data: [times] }) => [times[0] - step, times.at(-1) + step] } },
        series: [{ label: "Time", value: whole }, ...["Open", "High", "Low", "Close"].map((label) => (
          { label, stroke: colour("soft"), paths: () => null, points: { show: false } }))],
        hooks: { draw: [candles(step)] },
      }),
    },
  };

  function draw(place) {
    const kind = kinds[place.dataset.chart];
    const points = JSON.parse(place.dataset.points);
    const data = kind.columns.map((name) => points[name]);
    const known = drawn.get(place);
    if (known) {
      if (known.points !== place.dataset.points) known.chart.setData(data);
      known.points = place.dataset.points;
      return;
    }
    const size = { width: place.clientWidth, height: 200 };
    const chart = new uPlot({ ...size, axes: axes(points), cursor: { drag: { x: false } }, ...kind.options(points) }, data, place);
    drawn.set(place, { chart, points: place.dataset.points });
    sizes.observe(place);
  }

  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const known = drawn.get(target);
    if (known && target.clientWidth && target.clientWidth !== known.chart.width) {
      known.chart.setSize({ width: target.clientWidth, height: 200 });
    }
  }));

  function forget(place) {
    drawn.get(place).chart.destroy();
    drawn.delete(place);
    sizes.unobserve(place);
  }

  function drawAll() {
    for (const place of [...drawn.keys()]) if (!place.isConnected) forget(place);
    document.querySelectorAll("[data-chart]").forEach(draw);
    // What scrolls can be reached by the keyboard.
    document.querySelectorAll(".panel").forEach((panel) => {
      if (panel.scrollWidth > panel.clientWidth) panel.tabIndex = 0;
      else panel.removeAttribute("tabindex");
    });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    [...drawn.keys()].forEach(forget);
    drawAll();
  });

  // ── live: the stream tells every five seconds that it is there ────────────────────────────────────────────────────
  const STALE_AFTER = 12000;
  const live = document.getElementById("live");
  let heardAt = performance.now();

  function show(state, text) {
    if (live.dataset.state === state) return;
    live.dataset.state = state;
    live.querySelector(".text").textContent = text;
    root.classList.toggle("stale", state === "stale");
  }
  function hear() {
    heardAt = performance.now();
    show("live", "live");
  }
  function lose() {
    if (!document.hidden) show("stale", `not live since ${new Date().toLocaleTimeString()}`);
  }

  if (live) {
    live.addEventListener("beat", hear);
    live.addEventListener("over", () => location.reload());
    document.addEventListener("htmx:sse:after:message", hear);
    document.addEventListener("htmx:sse:close", lose);
    document.addEventListener("htmx:sse:error", (event) => {
      if (event.detail.status === 401) location.reload();
      lose();
    });
    document.addEventListener("visibilitychange", () => { heardAt = performance.now(); });
    setInterval(() => {
      if (document.hidden || performance.now() - heardAt < STALE_AFTER) return;
      lose();
      heardAt = performance.now() - STALE_AFTER / 2;
      live.dispatchEvent(new Event("again"));
    }, 1000);
  }

  // ── costs that go up by themselves, from what the page said when it came ───────────────────────────────────────────
  const begun = new WeakMap();
  function countUp() {
    for (const place of document.querySelectorAll("[data-counts]")) {
      const { micros, perHour } = place.dataset;
      const said = `${micros} ${perHour}`;
      if (begun.get(place)?.said !== said) begun.set(place, { said, at: performance.now() });
      const gone = performance.now() - begun.get(place).at;
      const text = ((+micros + (perHour * gone) / 3.6e6) / 1e6)
        .toLocaleString("en", { minimumFractionDigits: 6, maximumFractionDigits: 6 });
      if (place.textContent !== text) place.textContent = text;
    }
  }
  setInterval(countUp, 250);

  // ── countdowns: data-until is an instant of the server's clock, data-grace a later one, in milliseconds ───────────
  const arrived = performance.timeOrigin + (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0);
  const skew = Number(document.body.dataset.now ?? arrived) - arrived;

  function timeLeft(milliseconds) {
    const seconds = Math.ceil(milliseconds / 1000);
    const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    const two = (one) => String(one).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : minutes ? `${minutes}:${two(rest)}` : `${rest} s`;
  }
  function countDown() {
    const now = Date.now() + skew;
    document.querySelectorAll("[data-until]").forEach((place) => {
      const [until, grace] = [Number(place.dataset.until), Number(place.dataset.grace ?? 0)];
      const text = now < until ? timeLeft(until - now) : now < grace ? `grace: ${timeLeft(grace - now)}` : "due";
      if (place.textContent !== text) place.textContent = text;
      place.classList.toggle("bad", now >= until);
    });
  }
  setInterval(countDown, 250);
  document.addEventListener("htmx:sse:after:message", countDown);
  countDown();

  // ── forms: a number each, drawn anew once it was answered ─────────────────────────────────────────────────────────
  function renew(event) {
    const form = event.detail.ctx?.sourceElement;
    const once = form?.elements?.namedItem?.("once");
    if (once && event.detail.ctx.response) {
      const drawn = crypto.getRandomValues(new Uint8Array(16));
      once.value = [...drawn].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    }
  }
  document.addEventListener("htmx:after:request", renew);
  document.addEventListener("htmx:after:swap", drawAll);
  document.addEventListener("htmx:sse:after:message", drawAll);
  document.addEventListener("click", (event) => {
    const asked = event.target.closest?.("[data-sure]");
    if (asked && !confirm(asked.dataset.sure)) event.preventDefault();
  });
  drawAll();
})();
