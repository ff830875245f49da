// Opens pages in Chromium and says what is wrong with them: requests, overflow, contrast, tables for a screen reader, paper.
//
//   node check.mjs [--pictures FOLDER] PAGE...   exit 1 where a page is wrong
//   node check.mjs --self-test PAGE              exit 1 where a page that was spoilt on purpose passes

import { readFile, rm, writeFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SCHEMES = ["light", "dark"];
const WIDTHS = [360, 1280];
const HEIGHT = 800;
// What WCAG asks of text (1.4.3), and of what is drawn (1.4.11).
const TEXT_CONTRAST = 4.5;
const DRAWING_CONTRAST = 3;
const MOST_SHEETS = 6;
const A4_POINTS = [595, 842];
// Of a sheet of A4 between the page's margins, in CSS pixels.
const A4_BETWEEN_MARGINS = 688;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// In the page: texts and drawings with too little contrast to what is behind them.
function lowContrasts([textLimit, drawingLimit]) {
  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ({ r, g, b }) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgba(colour).a === 1) return rgba(colour);
    }
    return rgba("rgb(255, 255, 255)");
  };
  const found = [];
  const judge = (element, colour, limit, what) => {
    const is = contrast(rgba(colour), behind(element.parentElement));
    if (is < limit) found.push(`${is.toFixed(2)} of ${what}: ${element.textContent.trim().slice(0, 40)}`);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || element.closest("title, desc, style")) continue;
    const style = getComputedStyle(element);
    const colour = element.closest("svg") ? style.fill : style.color;
    texts += 1;
    const is = contrast(rgba(colour), behind(element));
    if (is < textLimit) found.push(`${is.toFixed(2)} of a text: ${walk.currentNode.textContent.trim().slice(0, 40)}`);
  }
  for (const shape of document.querySelectorAll("svg rect")) judge(shape, getComputedStyle(shape).fill, drawingLimit, "a bar");
  for (const line of document.querySelectorAll("svg polyline, svg .limit"))
    judge(line, getComputedStyle(line).stroke, drawingLimit, "a line");
  if (texts === 0) found.push("there is no text");
  return found;
}

// In the page: what is wider than the window, other than inside of a box that scrolls.
function overflowing() {
  const root = document.documentElement;
  const found = root.scrollWidth > root.clientWidth ? [`the page is ${root.scrollWidth} px wide`] : [];
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest(".scroll") && !element.classList.contains("scroll")) continue;
    const { right, left, width } = element.getBoundingClientRect();
    if (width > 0 && (right > root.clientWidth + 0.5 || left < -0.5))
      found.push(`<${element.tagName.toLowerCase()}> reaches to ${right.toFixed(0)} px`);
  }
  return found;
}

async function screen(browser, url, scheme, width, pictures) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: HEIGHT } });
  const page = await context.newPage();
  const problems = [];
  page.on("request", (request) => request.url() !== url && problems.push(`request for ${request.url()}`));
  page.on("console", (message) => problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`script: ${error}`));
  await page.goto(url);
  if (!(await page.title()) || !(await page.locator("h1").isVisible())) problems.push("it shows no title");
  if (pictures) {
    const path = `${pictures}/${basename(url, ".html")}-${scheme}-${width}.png`;
    await page.screenshot({ path, fullPage: true });
  }
  // What is folded must hold, too.
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  const overflow = await page.evaluate(overflowing);
  problems.push(...overflow.map((what) => `overflow: ${what}`));
  const low = await page.evaluate(lowContrasts, [TEXT_CONTRAST, DRAWING_CONTRAST]);
  problems.push(...low.map((what) => `contrast: ${what}`));
  // Scripts of the browser's tools are let through by no policy of the page.
  await page.evaluate(await readFile(AXE, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  problems.push(...violations.map((rule) => `axe ${rule.id}: ${rule.help}: ${rule.nodes[0].html.slice(0, 120)}`));
  await context.close();
  return problems.map((problem) => `${scheme}, ${width} px: ${problem}`);
}

async function paper(browser, url) {
  const page = await browser.newPage({ viewport: { width: A4_BETWEEN_MARGINS, height: HEIGHT } });
  await page.emulateMedia({ media: "print" });
  await page.goto(url);
  const problems = (await page.evaluate(overflowing)).map((what) => `paper: ${what}`);
  const pdf = (await page.pdf({ preferCSSPageSize: true, printBackground: true })).toString("latin1");
  await page.close();
  const sheets = (pdf.match(/\/Type\s*\/Page\b(?!s)/g) ?? []).length;
  if (sheets < 1 || sheets > MOST_SHEETS) problems.push(`paper: ${sheets} sheets`);
  for (const [, box] of pdf.matchAll(/\/MediaBox\s*\[([^\]]*)\]/g)) {
    const [, , width, height] = box.trim().split(/\s+/).map(Number);
    if (Math.abs(width - A4_POINTS[0]) > 1 || Math.abs(height - A4_POINTS[1]) > 1) problems.push(`paper: not A4 but ${box}`);
  }
  return { problems, sheets };
}

async function check(browser, file, pictures) {
  const url = pathToFileURL(resolve(file)).href;
  const looks = SCHEMES.flatMap((scheme) => WIDTHS.map((width) => screen(browser, url, scheme, width, pictures)));
  const { problems, sheets } = await paper(browser, url);
  return { problems: [...(await Promise.all(looks)).flat(), ...problems], sheets };
}

// Each spoils a page in one way, which the check must find.
const SPOILT = {
  "request for": (html) =>
    html.replace(/<meta http-equiv[^>]*>/, "").replace("<main>", '<main><img alt="" src="http://127.0.0.1:9/x.png"/>'),
  overflow: (html) => html.replace("<main>", '<main><p style="width: 1400px">wide</p>'),
  "contrast: ": (html) => html.replace("<main>", '<main><p style="color: #888888; background: #777777">faint</p>'),
  "of a bar": (html) => html.replace("</style>", "rect { fill: var(--card) !important }</style>"),
  "axe svg-img-alt": (html) => html.replace(/ aria-labelledby="chart-[^"]*"/, "").replace(/<title id="chart[^<]*<\/title>/, ""),
  "axe scrollable-region-focusable": (html) => html.replaceAll(' tabindex="0"', ""),
  "axe empty-table-header": (html) => html.replace(/<th scope="col">[^<]*</, '<th scope="col"><'),
  "axe scope-attr-valid": (html) => html.replace('scope="row"', 'scope="line"'),
  paper: (html) => html.replace("<main>", `<main>${"<p>line</p>".repeat(600)}`),
};

async function selfTest(browser, file) {
  const html = await readFile(file, "utf8");
  const missed = [];
  for (const [expected, spoil] of Object.entries(SPOILT)) {
    const spoilt = `${file}.spoilt.html`;
    if (spoil(html) === html) throw new Error(`"${expected}" spoils nothing`);
    await writeFile(spoilt, spoil(html));
    const url = pathToFileURL(resolve(spoilt)).href;
    const problems =
      expected === "paper" ? (await paper(browser, url)).problems : await screen(browser, url, SCHEMES[0], WIDTHS[0]);
    await rm(spoilt);
    if (!problems.some((problem) => problem.includes(expected))) missed.push(`not found: ${expected}; but ${problems}`);
  }
  return missed;
}

const args = process.argv.slice(2);
const selfTested = args[0] === "--self-test" && args.shift();
const pictures = args[0] === "--pictures" ? args.splice(0, 2)[1] : undefined;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: FLAGS });
let wrong = 0;
for (const file of args) {
  const { problems, sheets } = selfTested
    ? { problems: await selfTest(browser, file) }
    : await check(browser, file, pictures);
  problems.forEach((problem) => console.log(`${file}: ${problem}`));
  const looks = `${SCHEMES.join(" and ")} at ${WIDTHS.join(" and ")} px, ${sheets} sheets of A4`;
  const checked = selfTested ? `${Object.keys(SPOILT).length} spoilt pages` : looks;
  console.log(`${file}: ${problems.length} problems (${checked})`);
  wrong += problems.length;
}
await browser.close();
process.exitCode = wrong > 0 || args.length === 0 ? 1 : 0;
