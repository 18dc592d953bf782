"""The style of `audit_report`'s pages: plain, legible in light and dark, and on paper."""

STYLE = """
:root { color-scheme: light dark; --text: #1c2127; --quiet: #535b66; --page: #fff;
  --line: #c9ced6; --tint: #f3f5f8; --link: #1f5fa8; --class0: #1f5fa8; --class1: #c2571a;
  --good: #1b6e3c; --bad: #a81d1d; --alarm: #8f1515; }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaed; --quiet: #a9b1bc;
  --page: #14171b; --line: #3b424c; --tint: #1d2228; --link: #7db4f0; --class0: #6aa9ee;
  --class1: #f0914f; --good: #6fce95; --bad: #ff9a94; --alarm: #a31919; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 0 1rem 3rem; }
.warning { background: var(--alarm); color: #fff; padding: .9rem 1rem; text-align: center;
  font-size: 1.05rem; position: sticky; top: 0; z-index: 1; }
.warning p { margin: 0 auto; max-width: 62rem; }
h1 { margin: 1.5rem 0 .25rem; }
h2 { margin: 2.5rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3 { margin: 1.5rem 0 .25rem; font-size: 1.05rem; }
.quiet, caption, figcaption, .legend { color: var(--quiet); }
.quiet, code { overflow-wrap: anywhere; }
.good, .bad { font-weight: 600; color: var(--good); }
.bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; }
caption { text-align: left; font-size: .9rem; padding-bottom: .25rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tbody th { font-weight: 400; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.films { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .75rem; }
.films li { background: var(--tint); border: 1px solid var(--line); border-radius: .4rem;
  padding: .6rem; display: flex; gap: .6rem; }
figure { margin: 0; width: min(180px, 38vw); }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { font-size: .8rem; line-height: 1.35; padding-top: .3rem; overflow-wrap: anywhere; }
details summary { cursor: pointer; color: var(--link); }
svg { display: block; margin: .25rem 0; }
svg line { stroke: var(--line); }
svg text { fill: var(--quiet); font-size: 11px; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
rect.class0 { fill: var(--class0); } rect.class1 { fill: var(--class1); }
.legend { font-size: .9rem; margin: .25rem 0; }
.legend span { margin-right: 1rem; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
i.class0 { background: var(--class0); } i.class1 { background: var(--class1); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
@media print { .warning { position: static; } .films li { break-inside: avoid; } }
"""
