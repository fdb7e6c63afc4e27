"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const chart = document.getElementById("chart");
  const tip = document.getElementById("tip");
  const selected = document.getElementById("selected");
  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 150, RIGHT = 12, TOP = 26, LANE = 26, GAP = 5, LEVELS = 64;
  const MOST_LANES = 64;
  const NARROWEST = 0.6;
  const LABELLED = 46;
  const [BEGUN, LENGTH, ROUTINE, STATUS, QUEUED, PARTS, ACTIVATION, ATTEMPT, ERROR] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const lanes = data.lanes.slice(0, MOST_LANES);
  const total = data.total || 1;
  const bottom = TOP + lanes.length * (LANE + GAP);
  const inOrder = lanes
    .flatMap((lane, row) => lane.slices.map((slice) => ({ slice, row })))
    .sort((one, other) => one.slice[BEGUN] - other.slice[BEGUN]);
  let from = 0, until = total, chosen = -1, pressed = null, width = 0;

  function make(name, attributes, text) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function duration(micros) {
    const units = [["s", 1e6], ["ms", 1e3], ["µs", 1]];
    const [unit, size] = units.find(([, size]) => Math.abs(micros) >= size) || ["µs", 1];
    return `${Number((micros / size).toPrecision(3))} ${unit}`;
  }

  const across = (moment) => LEFT + (moment - from) / (until - from) * (width - LEFT - RIGHT);
  const momentAt = (x) => from + (Math.min(Math.max(x, LEFT), width - RIGHT) - LEFT) / (width - LEFT - RIGHT) * (until - from);

  function patterns() {
    const all = make("defs");
    for (const [name, turn] of [["wait", 45], ["contention", 0]]) {
      const pattern = make("pattern", { id: `over-${name}`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${turn})` });
      pattern.append(make("rect", { width: 1.7, height: 6, fill: "var(--stripe)" }));
      all.append(pattern);
    }
    const clip = make("clipPath", { id: "inside" });
    clip.append(make("rect", { x: LEFT, y: 0, width: Math.max(1, width - LEFT - RIGHT), height: bottom + LEVELS + 30 }));
    all.append(clip);
    return all;
  }

  function ticks(svg) {
    const rough = (until - from) / Math.max(2, Math.floor((width - LEFT) / 110));
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough);
    for (let moment = Math.ceil(from / step) * step; moment <= until; moment += step) {
      const x = across(moment);
      svg.append(make("line", { x1: x, x2: x, y1: TOP - 6, y2: bottom + LEVELS + 18, class: "axis" }));
      if (x < width - 22) svg.append(make("text", { x, y: TOP - 11, class: "soft middle" }, moment ? duration(moment) : "0"));
    }
  }

  function drawSlice(group, slice, row) {
    const y = TOP + row * (LANE + GAP), x = across(slice[BEGUN]), long = across(slice[BEGUN] + slice[LENGTH]) - x, wide = long > 5 ? long - 1 : Math.max(NARROWEST, long);
    let began = x;
    const whole = slice[LENGTH] || 1;
    slice[PARTS].forEach((took, kind) => {
      const part = took / whole * wide;
      if (part < 0.05) return;
      const shape = { x: began, y, width: Math.max(NARROWEST, part), height: LANE };
      const kindClass = data.kinds[kind].class;
      group.append(make("rect", { ...shape, class: kindClass.startsWith("python") || kindClass.startsWith("native") ? `use-${kindClass}` : kindClass }));
      if (part > 3 && (kindClass === "wait" || kindClass === "contention")) group.append(make("rect", { ...shape, fill: `url(#over-${kindClass})`, class: "over" }));
      began += part;
    });
    if (began === x) group.append(make("rect", { x, y, width: wide, height: LANE, class: "use-python" }));
    if (["failed", "retried", "skipped"].includes(slice[STATUS])) group.append(make("rect", { x: x + 1, y: y + 1, width: Math.max(1, wide - 2), height: LANE - 2, class: "mishap" }));
    if (wide > LABELLED) {
      const left = Math.max(x, LEFT) + 5, room = Math.floor((Math.min(x + wide, width - RIGHT) - left) / 6.6);
      const name = data.routines[slice[ROUTINE]];
      if (room > 2) group.append(make("text", { x: left, y: y + 17, class: "label" }, name.length > room ? `${name.slice(0, room - 1)}…` : name));
    }
  }

  function drawLane(svg, inside, lane, row) {
    const y = TOP + row * (LANE + GAP);
    const name = lane.name.length > 22 ? `${lane.name.slice(0, 21)}…` : lane.name;
    const label = make("text", { x: LEFT - 10, y: y + 17, class: "end" }, name);
    label.append(make("title", {}, lane.name));
    svg.append(label, make("rect", { x: LEFT, y, width: Math.max(1, width - LEFT - RIGHT), height: LANE, class: "row" }));
    let covered = -1;
    for (const slice of lane.slices) {
      const right = across(slice[BEGUN] + slice[LENGTH]);
      if (right < LEFT || slice[BEGUN] > until || right < covered + NARROWEST / 2) continue;
      drawSlice(inside, slice, row);
      covered = right;
    }
  }

  function drawLevels(svg, inside) {
    const base = bottom + LEVELS + 12, most = Math.max(1, ...data.levels.map((level) => Math.max(level[1], level[2])));
    const up = (count) => base - count / most * (LEVELS - 8);
    const line = (place) => {
      let path = "", last = base;
      data.levels.forEach((level, index) => {
        const x = across(level[0]);
        if (across((data.levels[index + 1] || [total])[0]) < LEFT || x > width) { last = up(level[place]); return; }
        path += `${path ? "L" : "M"}${x},${path ? last : up(level[place])}L${x},${up(level[place])}`;
        last = up(level[place]);
      });
      return path && `${path}L${across(total)},${last}`;
    };
    const running = line(1);
    if (running) inside.append(make("path", { d: `${running}L${across(total)},${base}L${across(from)},${base}Z`, class: "running" }), make("path", { d: line(2), class: "waiting" }));
    svg.append(
      make("line", { x1: LEFT, x2: width - RIGHT, y1: base, y2: base, class: "axis" }),
      make("text", { x: LEFT - 10, y: base - LEVELS / 2 - 2, class: "end" }, "▇ running"),
      make("text", { x: LEFT - 10, y: base - LEVELS / 2 + 14, class: "end" }, "╌ waiting"),
      make("text", { x: LEFT - 10, y: base - LEVELS + 12, class: "soft end" }, `at most ${most}`));
  }

  function draw() {
    width = Math.max(420, chart.clientWidth);
    const svg = make("svg", { width, height: bottom + LEVELS + 20, "aria-hidden": "true" });
    const inside = make("g", { "clip-path": "url(#inside)" });
    svg.append(patterns());
    lanes.forEach((lane, row) => drawLane(svg, inside, lane, row));
    ticks(svg);
    drawLevels(svg, inside);
    svg.append(inside);
    if (chosen >= 0) {
      const { slice, row } = inOrder[chosen], x = across(slice[BEGUN]);
      inside.append(make("rect", { x, y: TOP + row * (LANE + GAP) - 1.5, width: Math.max(3, across(slice[BEGUN] + slice[LENGTH]) - x), height: LANE + 3, class: "chosen" }));
    }
    chart.replaceChildren(svg);
  }

  function details(slice, lane) {
    const parts = slice[PARTS].map((took, kind) => [took, data.kinds[kind].name]).filter(([took]) => took > 0.05);
    return [
      `${data.routines[slice[ROUTINE]]}, ${slice[STATUS]}`,
      `ran ${duration(slice[LENGTH])} from ${duration(slice[BEGUN])} on, after ${duration(slice[QUEUED])} in the queue`,
      parts.map(([took, name]) => `${name} ${duration(took)}`).join(", "),
      `activation ${slice[ACTIVATION]}, attempt ${slice[ATTEMPT]}, ${lane.name}`,
      slice[ERROR],
    ].filter(Boolean);
  }

  function show(start, end) {
    const length = Math.min(total, Math.max(total / 1e6, 0.05, end - start));
    from = Math.min(Math.max(0, start), total - length);
    until = from + length;
    draw();
  }

  function zoom(factor, around = (from + until) / 2) {
    show(around - (around - from) * factor, around + (until - around) * factor);
  }

  const shift = (share) => show(from + (until - from) * share, until + (until - from) * share);
  const actions = { in: () => zoom(0.5), out: () => zoom(2), left: () => shift(-0.4), right: () => shift(0.4), all: () => show(0, total) };

  function choose(index) {
    if (!inOrder.length) return;
    chosen = Math.min(Math.max(0, index), inOrder.length - 1);
    const { slice, row } = inOrder[chosen], length = until - from;
    if (slice[BEGUN] < from || slice[BEGUN] > until) show(slice[BEGUN] - length / 2, slice[BEGUN] + length / 2);
    else draw();
    selected.textContent = details(slice, lanes[row]).join("; ");
  }

  const place = (event) => event.clientX - chart.getBoundingClientRect().left;

  function under(event) {
    const row = Math.floor((event.clientY - chart.getBoundingClientRect().top - TOP) / (LANE + GAP));
    if (!lanes[row] || place(event) < LEFT) return null;
    const moment = momentAt(place(event)), near = (until - from) / (width - LEFT - RIGHT) * 1.5;
    const found = lanes[row].slices.filter((slice) => slice[BEGUN] - near <= moment && moment <= slice[BEGUN] + slice[LENGTH] + near);
    const best = found.find((slice) => slice[BEGUN] <= moment && moment <= slice[BEGUN] + slice[LENGTH]) || found[0];
    return best ? { slice: best, lane: lanes[row] } : null;
  }

  chart.addEventListener("pointermove", (event) => {
    if (pressed !== null) {
      const x = Math.max(LEFT, Math.min(pressed, place(event)));
      const brush = chart.querySelector(".brush") || chart.firstChild.appendChild(make("rect", { y: TOP - 4, height: bottom - TOP + LEVELS + 16, class: "brush" }));
      brush.setAttribute("x", x);
      brush.setAttribute("width", Math.abs(place(event) - pressed));
    }
    const found = pressed === null && under(event);
    tip.hidden = !found;
    if (!found) return;
    tip.textContent = details(found.slice, found.lane).join("\n");
    tip.style.left = `${Math.max(4, Math.min(event.pageX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${event.pageY + 18}px`;
  });
  chart.addEventListener("pointerdown", (event) => { pressed = place(event); });
  window.addEventListener("pointerup", (event) => {
    if (pressed === null) return;
    const [start, end] = [momentAt(pressed), momentAt(place(event))].sort((one, other) => one - other);
    const far = Math.abs(place(event) - pressed) > 6;
    pressed = null;
    if (far) return show(start, end);
    const found = under(event);
    if (found) choose(inOrder.findIndex((one) => one.slice === found.slice));
  });
  chart.addEventListener("pointerleave", () => { tip.hidden = true; });
  chart.addEventListener("dblclick", actions.all);
  chart.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    zoom(event.deltaY + event.deltaX > 0 ? 1.25 : 0.8, momentAt(place(event)));
  }, { passive: false });
  chart.addEventListener("keydown", (event) => {
    const keys = {
      "+": actions.in, "=": actions.in, "-": actions.out, "0": actions.all,
      ArrowRight: () => choose(chosen + 1), ArrowLeft: () => choose(chosen - 1),
      ArrowUp: actions.in, ArrowDown: actions.out, Home: () => choose(0), End: () => choose(inOrder.length - 1),
    };
    if (!keys[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", actions[button.dataset.do]);
  document.querySelector(".tools").hidden = false;
  const unseen = [];
  if (data.hidden) unseen.push(`${data.hidden} shorter attempts are not drawn.`);
  if (data.lanes.length > MOST_LANES) unseen.push(`${data.lanes.length - MOST_LANES} more workers are not drawn.`);
  selected.textContent = unseen.join(" ");
  window.addEventListener("resize", draw);
  draw();
})();
