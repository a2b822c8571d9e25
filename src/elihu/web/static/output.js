// The output of a run: all lines in memory, and in the page only those that are seen.
(() => {
  "use strict";
  const ROW = 20;
  const TALLEST = 12_000_000;
  const LONGEST = 5_000;
  const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[^[\]])?/g;
  const COLOURS = { 1: "r", 2: "g", 3: "y", 4: "b", 5: "b", 6: "b" };

  class RunOutput extends HTMLElement {
    connectedCallback() {
      if (this.log || "none" in this.dataset) return;
      this.log = this.querySelector("[data-log]");
      this.bar = this.querySelector("[data-bar]");
      this.lines = [];
      this.errors = [];
      this.times = [];
      this.clock = new Intl.DateTimeFormat("en-GB", {
        hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
        hourCycle: "h23", timeZone: document.body.dataset.zone || "UTC",
      });
      this.open = { stdout: "", stderr: "" };
      this.view = null;
      this.found = [];
      this.at = -1;
      this.place = "0.-1";
      this.wrap = innerWidth < 768;
      this.follow = !this.dataset.ended && !location.hash;
      this.marked = 0;
      this.tall = document.createElement("div");
      this.list = document.createElement("ol");
      this.tall.className = "tall";
      this.box = document.createElement("div");
      this.box.className = "log windowed";
      this.box.tabIndex = 0;
      this.box.setAttribute("role", "region");
      this.box.setAttribute("aria-label", this.log.getAttribute("aria-label"));
      this.tall.append(this.list);
      this.box.append(this.tall);
      this.listen();
      this.load();
    }

    disconnectedCallback() {
      this.source?.close();
      this.gone = true;
    }

    // ---------- reading ----------

    async load() {
      try {
        for (;;) {
          const query = `attempt=${this.dataset.attempt}&after=${this.place}&limit=1000`;
          const answer = await fetch(`${this.dataset.src}?${query}`);
          if (!answer.ok) throw new Error(answer.statusText);
          const page = await answer.json();
          for (const chunk of page.items) this.take(chunk);
          this.place = page.next;
          if (this.lines.length || this.open.stdout || this.open.stderr) this.show();
          if (page.items.length < 1000) {
            if (page.ended || this.dataset.ended) return this.end();
            return this.live();
          }
        }
      } catch {
        if (!this.gone) setTimeout(() => this.load(), 3000);
      }
    }

    live() {
      if (this.gone) return;
      this.source = new EventSource(`${this.dataset.src}/stream?after=${this.place}`);
      this.source.addEventListener("chunk", (event) => {
        const chunk = JSON.parse(event.data);
        if (String(chunk.attempt) !== this.dataset.attempt) return;
        this.place = event.lastEventId || this.place;
        this.take(chunk);
        this.soon();
      });
      this.source.addEventListener("end", () => {
        this.source.close();
        this.end();
      });
      this.source.onerror = () => {
        if (this.source.readyState === EventSource.CLOSED && !this.gone) setTimeout(() => this.load(), 2000);
      };
    }

    end() {
      for (const stream of ["stdout", "stderr"]) if (this.open[stream]) this.take({ stream, text: "\n", written_at: "" });
      this.dataset.ended = "1";
      this.follow = false;
      if (this.lines.length) this.show();
    }

    take({ stream, text, written_at: at }) {
      const parts = (this.open[stream] + text).split("\n");
      this.open[stream] = parts.pop();
      const moment = at ? Date.parse(at) : 0;
      for (const part of parts) {
        this.lines.push(part);
        this.times.push(moment);
        if (stream === "stderr") this.errors.push(this.lines.length - 1);
      }
      this.errorSet = null;
      if (this.query) this.search(false);
    }

    soon() {
      if (this.waiting) return;
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        this.show();
      });
    }

    // ---------- drawing ----------

    get count() {
      return this.view ? this.view.length : this.lines.length;
    }

    number(index) {
      return this.view ? this.view[index] : index;
    }

    isError(line) {
      this.errorSet ??= new Set(this.errors);
      return this.errorSet.has(line);
    }

    show() {
      if (!this.box.isConnected) {
        this.log.replaceWith(this.box);
        this.bar.hidden = false;
        const line = Number(/^#L(\d+)$/.exec(location.hash)?.[1]);
        this.press("[data-wrap]", this.wrap);
        if (line) requestAnimationFrame(() => this.go(line - 1, true));
      }
      this.only(this.stream ?? "", false);
      this.tall.style.height = `${Math.min(this.count * ROW, TALLEST) + 8}px`;
      this.box.classList.toggle("is-wrapped", this.wrap);
      if (this.follow) this.box.scrollTop = this.box.scrollHeight;
      this.press("[data-follow]", this.follow);
      const count = this.querySelector("[data-errors]");
      if (count) count.textContent = this.errors.length || "";
      this.querySelector("[data-last-error]").setAttribute("aria-disabled", String(!this.errors.length));
      this.draw();
    }

    draw() {
      const { scrollTop, clientHeight, scrollHeight } = this.box;
      const fit = Math.ceil(clientHeight / ROW) + 1;
      const most = Math.max(this.count - fit + 1, 0);
      const room = Math.max(scrollHeight - clientHeight, 1);
      const atEnd = scrollTop >= room - 1;
      const first = atEnd ? most : Math.min(Math.round((scrollTop / room) * most), most);
      const rows = [];
      for (let index = first; index < Math.min(first + fit, this.count); index += 1) rows.push(this.row(this.number(index)));
      this.first = first;
      this.list.replaceChildren(...rows);
      const lift = atEnd ? Math.max(this.list.offsetHeight - clientHeight + 8, 0) : 0;
      this.list.style.transform = `translateY(${scrollTop - lift}px)`;
    }

    row(line) {
      const li = document.createElement("li");
      const isError = this.isError(line);
      if (isError) li.className = "err";
      if (line === this.marked - 1) li.classList.add("is-linked");
      li.id = `L${line + 1}`;
      const number = document.createElement("a");
      number.className = "ln";
      number.href = `#L${line + 1}`;
      number.textContent = (line + 1).toLocaleString("en");
      const at = document.createElement("span");
      at.className = "at";
      if (this.times[line]) at.textContent = this.clock.format(new Date(this.times[line]));
      const source = document.createElement("span");
      source.className = "src";
      source.textContent = isError ? "err" : "";
      const text = document.createElement("span");
      text.className = "tx";
      this.paint(text, this.lines[line], line);
      li.append(number, at, source, text);
      return li;
    }

    // Colours become classes, every other escape is left out, and all text is text.
    paint(into, raw, line) {
      let shown = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      shown = shown.slice(shown.lastIndexOf("\r") + 1);
      const cut = shown.length > LONGEST ? shown.length - LONGEST : 0;
      if (cut) shown = shown.slice(0, LONGEST);
      let look = "";
      let from = 0;
      const add = (text) => text && this.mark(into, text, look, line);
      for (const match of shown.matchAll(ESCAPE)) {
        add(shown.slice(from, match.index));
        from = match.index + match[0].length;
        if (match[2] === "m") {
          for (const code of (match[1] || "0").split(";").map(Number)) {
            if (code === 0 || code === 39) look = "";
            else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) look = COLOURS[code % 10] ? `a-${COLOURS[code % 10]}` : "";
          }
        }
      }
      add(shown.slice(from));
      if (cut) {
        const more = document.createElement("span");
        more.className = "faint";
        more.textContent = ` … ${cut.toLocaleString("en")} more characters, in the download`;
        into.append(more);
      }
    }

    mark(into, text, look, line) {
      const parent = look ? document.createElement("span") : into;
      if (look) {
        parent.className = look;
        into.append(parent);
      }
      if (!this.query) return parent.append(text);
      const lower = text.toLowerCase();
      let from = 0;
      for (let at = lower.indexOf(this.query); at >= 0; at = lower.indexOf(this.query, from)) {
        parent.append(text.slice(from, at));
        const mark = document.createElement("mark");
        if (this.found[this.at] === line) mark.className = "on";
        mark.textContent = text.slice(at, at + this.query.length);
        parent.append(mark);
        from = at + this.query.length;
      }
      return parent.append(text.slice(from));
    }

    // ---------- acting ----------

    go(line, linked = false) {
      this.follow = false;
      this.press("[data-follow]", false);
      let index = line;
      if (this.view) {
        index = this.view.indexOf(line);
        if (index < 0) {
          this.only("");
          index = line;
        }
      }
      if (linked) this.marked = line + 1;
      const fit = Math.ceil(this.box.clientHeight / ROW) + 1;
      const most = Math.max(this.count - fit + 1, 1);
      const room = this.box.scrollHeight - this.box.clientHeight;
      this.moving = true;
      this.box.scrollTop = (Math.max(index - 4, 0) / most) * room;
      this.draw();
    }

    search(move = true) {
      this.found = [];
      if (this.query) {
        for (let line = 0; line < this.lines.length; line += 1) {
          if (this.lines[line].toLowerCase().includes(this.query)) this.found.push(line);
        }
      }
      if (move) this.at = this.found.length ? 0 : -1;
      this.tellMatches();
      if (move && this.found.length) this.go(this.found[0]);
      else if (move) this.draw();
    }

    tellMatches() {
      const of = this.found.length.toLocaleString("en");
      this.querySelector("[data-matches]").textContent = this.query ? (this.found.length ? `${(this.at + 1).toLocaleString("en")} of ${of}` : "none") : "";
    }

    step(by) {
      if (!this.found.length) return;
      this.at = (this.at + by + this.found.length) % this.found.length;
      this.tellMatches();
      this.go(this.found[this.at]);
    }

    only(stream, draw = true) {
      this.stream = stream;
      if (!stream) this.view = null;
      else if (stream === "stderr") this.view = this.errors;
      else this.view = this.lines.map((_, line) => line).filter((line) => !this.isError(line));
      for (const button of this.querySelectorAll("[data-only]")) button.setAttribute("aria-pressed", String(button.dataset.only === stream));
      if (draw) this.show();
    }

    press(selector, on) {
      const button = this.querySelector(selector);
      button?.setAttribute("aria-pressed", String(on));
      if (selector === "[data-follow]" && button) button.lastChild.textContent = on ? "Following" : "Follow";
    }

    toggleFollow() {
      this.follow = !this.follow;
      this.show();
    }

    toggleWrap() {
      this.wrap = !this.wrap;
      this.press("[data-wrap]", this.wrap);
      this.show();
    }

    listen() {
      let top = 0;
      this.box.addEventListener("scroll", () => {
        const up = this.box.scrollTop < top - 4;
        top = this.box.scrollTop;
        const atEnd = top + this.box.clientHeight >= this.box.scrollHeight - 4;
        if (this.follow && up && !atEnd && !this.moving) {
          this.follow = false;
          this.press("[data-follow]", false);
        }
        this.moving = false;
        this.draw();
      }, { passive: true });
      new ResizeObserver(() => this.box.isConnected && (this.follow ? this.show() : this.draw())).observe(this.box);
      this.addEventListener("click", (event) => {
        const target = event.target.closest("button, a");
        if (!target) return;
        if (target.matches("[data-follow]")) this.toggleFollow();
        else if (target.matches("[data-wrap]")) this.toggleWrap();
        else if (target.matches("[data-next]")) this.step(1);
        else if (target.matches("[data-prev]")) this.step(-1);
        else if (target.matches("[data-only]")) this.only(target.dataset.only);
        else if (target.matches("[data-last-error]") && this.errors.length) this.go(this.errors.at(-1), true);
        else if (target.matches(".ln[href]")) {
          event.preventDefault();
          history.replaceState(null, "", target.getAttribute("href"));
          this.marked = Number(target.getAttribute("href").slice(2));
          this.draw();
        }
      });
      const form = this.querySelector("[data-find]");
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.step(1);
      });
      let typing = 0;
      form.querySelector("input").addEventListener("input", (event) => {
        clearTimeout(typing);
        typing = setTimeout(() => {
          this.query = event.target.value.toLowerCase();
          this.search();
        }, 150);
      });
      this.keys = (event) => {
        if (!this.isConnected) return document.removeEventListener("keydown", this.keys);
        const typing = event.target.matches("input, textarea, select");
        if (typing || event.ctrlKey || event.metaKey || event.altKey || document.body.dataset.keys === "off") return;
        const act = { f: () => this.toggleFollow(), w: () => this.toggleWrap(), n: () => this.step(1), N: () => this.step(-1) }[event.key];
        if (act) act();
      };
      document.addEventListener("keydown", this.keys);
    }
  }

  customElements.define("run-output", RunOutput);
})();
