// Live values, notices, picks, filters and keys. Without this file every page still works.
(() => {
  "use strict";
  const root = document.body.dataset.root;
  const $ = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const main = () => $("#main");

  // ---------- preferences ----------

  function prefer(values) {
    const token = $('meta[name="csrf-token"]').content;
    return fetch(`${root}/preferences`, {
      method: "POST",
      headers: { "X-Preferences": "1", "X-CSRF-Token": token },
      body: new URLSearchParams(values),
    });
  }

  const here = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  if (!document.body.dataset.zone && here !== "UTC" && $("[data-zone-switch]")) {
    document.body.dataset.zone = here;
    for (const button of all("[data-zone-switch]")) button.textContent = here;
    prefer({ zone: here }).then((answer) => answer.ok && refresh());
  }

  document.addEventListener("change", (event) => {
    const { target } = event;
    if (target.closest("[data-theme-form]")) {
      document.documentElement.dataset.theme = target.value;
      prefer({ theme: target.value });
    } else if (target.matches("[data-keys-switch]")) {
      document.body.dataset.keys = target.checked ? "on" : "off";
      prefer({ keys: document.body.dataset.keys });
    }
  });

  function switchZone() {
    const next = document.body.dataset.zone === "UTC" ? here : "UTC";
    document.body.dataset.zone = next;
    for (const button of all("[data-zone-switch]")) button.textContent = next;
    prefer({ zone: next }).then(refresh);
  }

  // ---------- notices ----------

  function watchToasts() {
    for (const toast of all("[data-toast]:not([data-seen])")) {
      toast.dataset.seen = "";
      const leave = () => {
        if (toast.matches(":hover, :focus-within")) setTimeout(leave, 2000);
        else toast.remove();
      };
      setTimeout(leave, 8000);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button, a, [aria-disabled]");
    if (!button) {
      for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
      return;
    }
    if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
    if (button.matches("[data-close]")) button.closest("[data-toast]").remove();
    if (button.matches("[data-clear]")) pick(all(".pick:checked"), false);
    if (button.matches("[data-zone-switch]")) switchZone();
    if (button.matches("[data-live]")) pause();
    if (button.matches("[data-show-new]")) showNew();
    if (button.matches("[data-copy]")) navigator.clipboard?.writeText(location.href);
    if (button.matches("[data-add]")) addRow(button);
  });

  function addRow(button) {
    const field = document.getElementById(button.dataset.add);
    if (field) field.hidden = false;
    $("input", field)?.focus();
  }

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button && event.target.method === "post") {
      setTimeout(() => button.setAttribute("aria-busy", "true"), 150);
      event.target.dataset.sent = "";
    }
  });

  // ---------- live ----------

  let source = null;
  let timer = 0;
  let polling = 0;
  let paused = false;
  let failures = 0;
  let busy = false;
  let again = false;
  let shownAt = Date.now();
  const held = new Map();

  // A value changes in place. What somebody has opened, picked or typed stays, and a new row
  // waits above its list.
  const morphing = {
    ignoreActiveValue: true,
    callbacks: {
      beforeAttributeUpdated(name, node) {
        if (name === "open" && node.matches("details, dialog")) return false;
        if ((name === "checked" || name === "value") && node.matches("input, select, textarea")) return false;
        if (name === "hidden" && node.matches("[data-tray]")) return false;
        return true;
      },
      beforeNodeAdded(node) {
        if (node.nodeType === 1 && node.matches("tr[data-row]") && waits(node)) return false;
        return true;
      },
      beforeNodeRemoved(node) {
        if (node.nodeType !== 1) return true;
        if (node.matches(":popover-open, [data-toast], .new-rows")) return false;
        return !node.contains(document.activeElement) || !node.matches("form");
      },
      beforeNodeMorphed(node) {
        return node.nodeType !== 1 || !node.matches("run-output, [data-still], :popover-open");
      },
    },
  };

  function waits(row) {
    if (window.scrollY < 200 && !all(".pick:checked").length) return false;
    held.set(row.id, row);
    return true;
  }

  function tellNew() {
    let button = $(".new-rows");
    if (!held.size) return button?.remove();
    if (!button) {
      const list = $("table[data-rows]")?.closest(".panel");
      if (!list) return held.clear();
      button = document.createElement("button");
      button.type = "button";
      button.className = "button small new-rows";
      button.dataset.showNew = "";
      list.before(button);
    }
    button.textContent = `Show ${held.size} new`;
  }

  function showNew() {
    held.clear();
    $(".new-rows")?.remove();
    window.scrollTo(0, 0);
    pick(all(".pick:checked"), false);
    refresh();
  }

  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { "HX-Request": "true", "X-Live": "1" } });
      const gone = answer.headers.get("HX-Redirect");
      if (gone || answer.status === 401) return signedOut(gone);
      if (answer.ok) {
        const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = parsed.getElementById("main");
        if (fresh && !$("form[data-dirty]")) {
          held.clear();
          Idiomorph.morph(main(), fresh, morphing);
          htmx.process(main());
          tellNew();
          after();
          count(parsed);
        }
      }
      failures = 0;
      shownAt = Date.now();
      tell("Live");
      away(null);
    } catch {
      failures += 1;
      tell("Not live");
      away(failures);
    } finally {
      busy = false;
      if (again) {
        again = false;
        setTimeout(refresh, 300);
      }
    }
  }

  function count(parsed) {
    for (const shown of all("[data-count]")) {
      const fresh = $(`[data-count="${shown.dataset.count}"]`, parsed);
      shown.textContent = fresh?.textContent ?? "";
      shown.className = fresh?.className ?? "count";
    }
  }

  function signedOut(where) {
    close();
    tell("Signed out");
    const line = $("[data-away]");
    line.hidden = false;
    $("span", line).innerHTML = "";
    const link = document.createElement("a");
    link.href = where || `${root}/login`;
    link.textContent = "Sign in again";
    $("span", line).append("You are signed out. What you typed is kept while this page is open. ", link);
  }

  function away(tries) {
    const line = $("[data-away]");
    if (!line) return;
    line.hidden = !tries;
    document.body.toggleAttribute("data-lost", Boolean(tries));
    if (tries) {
      const at = new Date(shownAt).toLocaleTimeString();
      $("span", line).textContent = `The server does not answer. What you see is from ${at}; trying again.`;
    }
  }

  function tell(word) {
    const button = $("[data-live]");
    if (!button) return;
    button.hidden = !main().dataset.topics;
    button.setAttribute("aria-pressed", String(!paused));
    const at = new Date(shownAt).toLocaleTimeString([], { hour12: false });
    $(".word", button).textContent = paused ? "Paused" : word === "Live" ? `${blocked ? "Polling" : "Live"}, ${at}` : word;
  }

  let blocked = false;

  function open() {
    close();
    const topics = main()?.dataset.topics?.split(" ").filter(Boolean) ?? [];
    if (!topics.length || paused || document.hidden) return tell("Live");
    tell("Live");
    const query = topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&");
    source = new EventSource(`${root}/api/stream?${query}`);
    let first = true;
    let last = 0;
    const changed = () => {
      blocked = false;
      const wait = Math.max(0, last + 1000 - Date.now());
      clearTimeout(timer);
      timer = setTimeout(() => {
        last = Date.now();
        refresh();
      }, first ? 0 : wait);
      first = false;
    };
    for (const topic of topics) source.addEventListener(topic.split(":")[0], changed);
    source.onerror = () => {
      if (source && source.readyState === EventSource.CLOSED) {
        blocked = true;
        poll();
      } else {
        poll(1);
      }
    };
    source.onopen = () => failures && refresh();
  }

  function poll(times = Infinity) {
    if (polling || paused || document.hidden) return;
    const wait = Math.min(3000 * 2 ** Math.min(failures, 4), 10000);
    polling = setTimeout(async () => {
      polling = 0;
      await refresh();
      if (times > 1 || failures) poll(Math.max(times - 1, 1));
    }, wait);
  }

  function close() {
    source?.close();
    source = null;
    clearTimeout(timer);
    clearTimeout(polling);
    polling = 0;
  }

  function pause() {
    paused = !paused;
    if (paused) close();
    else {
      open();
      refresh();
    }
    tell("Live");
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("online", () => failures && refresh());
  window.addEventListener("pageshow", (event) => event.persisted && open());

  // What runs gets older while nothing else changes.
  function length(seconds) {
    const whole = Math.round(seconds);
    const two = (number) => String(number).padStart(2, "0");
    if (seconds < 10) return `${Math.max(seconds, 0).toFixed(1)}\u00a0s`;
    if (whole < 60) return `${whole}\u00a0s`;
    if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
    return `${Math.floor(whole / 3600)}\u00a0h ${Math.floor((whole % 3600) / 60)}\u00a0min`;
  }

  const ahead = Date.parse(document.body.dataset.now) - Date.now();
  setInterval(() => {
    if (paused || document.hidden || document.body.hasAttribute("data-lost")) return;
    for (const each of all("[data-since]")) {
      each.textContent = length((Date.now() + ahead - Date.parse(each.dataset.since)) / 1000);
    }
  }, 1000);

  // ---------- picks ----------

  let lastPick = null;

  function pick(boxes, on) {
    for (const box of boxes) box.checked = on;
    shown();
  }

  function shown() {
    const tray = $("[data-tray]");
    if (!tray) return;
    const boxes = all("tbody .pick");
    const picked = boxes.filter((box) => box.checked);
    tray.hidden = !picked.length;
    $("[data-count]", tray).textContent = `${picked.length} picked`;
    const head = $("thead .pick");
    if (head) {
      head.checked = picked.length > 0 && picked.length === boxes.length;
      head.indeterminate = picked.length > 0 && picked.length < boxes.length;
    }
    for (const button of all("[data-for]", tray)) {
      const fits = button.dataset.for.split(" ");
      const count = picked.filter((box) => fits.includes(box.dataset.state)).length;
      const word = $("[data-word]", button);
      word.textContent = count ? `${word.dataset.word} ${count}` : word.dataset.word;
      button.setAttribute("aria-disabled", String(!count));
      button.title = count ? "" : `None of the picked is ${fits.slice(0, 3).join(", ")}`;
    }
  }

  document.addEventListener("change", (event) => {
    if (!event.target.matches(".pick")) return;
    if (event.target.closest("thead")) pick(all("tbody .pick"), event.target.checked);
    else shown();
  });

  document.addEventListener("click", (event) => {
    const box = event.target.closest("tbody .pick");
    if (!box) return;
    const boxes = all("tbody .pick");
    if (event.shiftKey && lastPick && boxes.includes(lastPick)) {
      const ends = [boxes.indexOf(lastPick), boxes.indexOf(box)].sort((a, b) => a - b);
      pick(boxes.slice(ends[0], ends[1] + 1), box.checked);
    }
    lastPick = box;
  });

  // ---------- forms ----------

  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-kept]");
    if (!form) return;
    form.dataset.dirty = "";
    const fields = new Set([...form.elements].filter((e) => e.name && differs(e)).map((e) => e.name));
    const status = $("[data-changes]", form);
    if (status) status.textContent = fields.size ? `${fields.size} changed, not saved` : "";
    if (!fields.size) delete form.dataset.dirty;
  });

  function differs(element) {
    if (element.type === "checkbox" || element.type === "radio") return element.checked !== element.defaultChecked;
    if (element.tagName === "SELECT") return [...element.options].some((o) => o.selected !== o.defaultSelected);
    return element.value !== element.defaultValue;
  }

  document.addEventListener("reset", (event) => delete event.target.dataset.dirty);
  window.addEventListener("beforeunload", (event) => {
    if ($("form[data-dirty]:not([data-sent])")) event.preventDefault();
  });

  // ---------- keys ----------

  const places = { o: "/", c: "/commands", s: "/schedules", r: "/runs", e: "/environments",
    v: "/variables", j: "/jobs", q: "/queues", n: "/nodes", t: "/triggers" };
  let going = 0;

  function move(step) {
    const rows = all("table[data-rows] tbody tr");
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.matches(".is-here"));
    const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
    rows[at]?.classList.remove("is-here");
    next.classList.add("is-here");
    next.scrollIntoView({ block: "nearest" });
    $("a.name", next)?.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    const typing = target.matches("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "k" && $("#jump")) {
      event.preventDefault();
      $("#jump").showModal();
      return;
    }
    if (key === "Escape") {
      const menu = $("details.menu[open]");
      if (menu) {
        menu.open = false;
        $("summary", menu).focus();
      } else if (typing) target.blur();
      else if (all(".pick:checked").length) pick(all(".pick:checked"), false);
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.body.dataset.keys === "off" || $(":popover-open, dialog[open]")) return;
    if (Date.now() - going < 1500 && places[key]) {
      going = 0;
      location.assign(root + places[key]);
      return;
    }
    const act = {
      g: () => (going = Date.now()),
      "/": () => $("[role=search] input[type=search]", main())?.focus(),
      "?": () => $("#keys")?.showPopover(),
      j: () => move(1),
      k: () => move(-1),
      x: () => $("tr.is-here .pick")?.click(),
      X: () => pick(all("tbody .pick"), !$("thead .pick")?.checked),
      "[": () => $("[data-newer]")?.click(),
      "]": () => $("[data-older]")?.click(),
      p: pause,
      u: switchZone,
    }[key];
    if (act) {
      event.preventDefault();
      act();
    }
  });

  // ---------- start ----------

  function after() {
    watchToasts();
    shown();
  }

  document.addEventListener("htmx:afterSettle", () => {
    after();
    if (!source && !document.hidden) open();
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.(".sheet") && event.newState === "open") $("[autofocus], input", event.target)?.focus();
  }, true);
  after();
  open();
})();
