"""How the policy pages look: a style sheet that stands inside each page, for screens light and dark and for A4."""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

_LIGHT: Final = """
  --ink: #1d2430; --soft: #5b6675; --line: #cfd6df; --ground: #fff; --tint: #f4f6f9;
  --allow: #1a6e36; --redact: #8a4b06; --deny: #a01e28;
  --allow-ground: #eaf6ee; --redact-ground: #fdf1dd; --deny-ground: #fbe4e5;"""

STYLE: Final = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{
  --ink: #e7ebf1; --soft: #9aa6b6; --line: #3a4452; --ground: #141920; --tint: #1c232c;
  --allow: #6ccf8e; --redact: #e8ae62; --deny: #f58d94;
  --allow-ground: #16281e; --redact-ground: #33270f; --deny-ground: #3a191d; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 82rem; color: var(--ink); background: var(--ground);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin: 2rem 0 .5rem; break-after: avoid; }}
p {{ margin: .45rem 0; max-width: 52rem; }}
.soft, caption, dt {{ color: var(--soft); }}
.alert {{ border-left: .3rem solid var(--deny); background: var(--tint); padding: .6rem .9rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
caption {{ text-align: left; padding: 0 0 .5rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .6rem; border: 1px solid var(--line); }}
thead th {{ font-weight: 600; color: var(--soft); font-size: .85em; background: var(--tint); }}
td p {{ margin: 0 0 .3rem; }}
td p:last-child {{ margin: 0; }}
.rules tbody {{ break-inside: avoid; }}
.rules th[scope=rowgroup] {{ background: var(--tint); font-weight: 400; }}
.rules th[scope=rowgroup] b {{ display: block; }}
.rules tbody tr:last-child td {{ border-bottom: 2px solid var(--soft); }}
th[scope=row], .day {{ white-space: nowrap; }}
.rules {{ table-layout: fixed; min-width: 60rem; }}
.rules thead th:nth-child(1) {{ width: 17%; }} .rules thead th:nth-child(2) {{ width: 18%; }}
.rules thead th:nth-child(3) {{ width: 14%; }} .rules thead th:nth-child(4) {{ width: 18%; }}
.rules thead th:nth-child(5) {{ width: 12%; }}
.matrix th[scope=col] code {{ overflow-wrap: normal; font-weight: 400; }}
.matrix td {{ min-width: 4.4rem; line-height: 1.3; }}
.matrix small {{ display: block; color: var(--soft); font-size: .8em; }}
.allow {{ background: var(--allow-ground); }} .allow b {{ color: var(--allow); font-weight: 500; }}
.redact {{ background: var(--redact-ground); }} .redact b {{ color: var(--redact); }}
.deny {{ background: var(--deny-ground); }} .deny b {{ color: var(--deny); }}
.facts {{ width: auto; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
code {{ font: .9em ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; overflow-wrap: anywhere; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .6rem 0; }}
dd {{ margin: 0; }}
ul {{ padding-left: 1.2rem; margin: .4rem 0; }}
a {{ color: inherit; }}
tr {{ break-inside: avoid; }}
@page {{ size: A4 landscape; margin: 13mm 12mm; }}
@media print {{
  :root {{ color-scheme: light; {_LIGHT} }}
  body {{ padding: 0; max-width: none; font-size: 9.5pt; line-height: 1.35; }}
  h1 {{ font-size: 15pt; }} h2 {{ font-size: 11.5pt; }}
  th, td {{ padding: 1.2mm 1.6mm; print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
  thead {{ display: table-header-group; }}
  .wide {{ overflow: visible; }}
  .matrix {{ font-size: 7.5pt; line-height: 1.2; }} .matrix td {{ min-width: 0; }}
  .matrix th, .matrix td {{ padding: .6mm .8mm; }}
  .rules {{ font-size: 8.5pt; min-width: 0; }}
  a {{ text-decoration: none; }}
}}
""".strip()
