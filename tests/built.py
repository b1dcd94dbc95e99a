"""`python tests/built.py FOLDER [WORD...]`: the site as Quarto would make it, nearly. Pandoc turns the processed notebooks into pages, with Quarto's names for boxes and classes; navigation, search and Bootstrap are not there."""
import base64, html, json, os, re, shutil, subprocess, sys
from pathlib import Path

import pypandoc
import yaml

root = Path(__file__).parent.parent

# What the site's own CSS stands on: Quarto's with the themes cosmo and darkly, as far as it matters for widths and colours.
BASE = '''body { margin: 0; font: 17px/1.5 system-ui, sans-serif; color: #373a3c; background: #fff; }
main { box-sizing: border-box; max-width: 932px; margin: 0 auto; padding: 1rem; } a { color: #1d6ec7; } main :not(pre) > code { background: #f8f9fa; color: #7d12ba; }
div.sourceCode, pre.sourceCode { margin: 1em 0; background: rgba(233, 236, 239, .65); } pre { font-size: .875em; overflow: auto; }
pre.sourceCode > code.sourceCode, pre.code-overflow-wrap { white-space: pre-wrap; } figure { margin: 0; } td, th { padding: .5rem; overflow-wrap: break-word; }
body.quarto-dark { color: #fff; background: #222; } body.quarto-dark a { color: #00bc8c; }'''

PAGE = '''<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<meta name="quarto:offset" content="{up}"><style>{base}</style><link rel="stylesheet" href="{up}styles.css">{header}</head>
<body class="quarto-light"><main class="content"><header id="title-block-header"><h1 class="title">{title}</h1><p class="description">{promise}</p></header>
{body}</main></body></html>'''

def text(o): return o if isinstance(o, str) else ''.join(o)
def directives(source):
    head = re.match(r'(?:#\|.*\n?)*', source)[0]
    said = {}
    for l in head.splitlines():
        if ':' in l: said |= yaml.safe_load(l[2:].strip())
    return said, source[len(head):]

def fenced(body, *classes):
    ticks = '`'*(max([2, *map(len, re.findall('`+', body))]) + 1)
    return f"{ticks} {{{' '.join('.' + c for c in classes)}}}\n{body}\n{ticks}\n"

def output_markdown(o, alt, folder, name):
    "What a cell shows, as Quarto hands it to Pandoc."
    if o['output_type'] == 'stream': return f"::: {{.cell-output .cell-output-stdout}}\n{fenced(text(o['text']).rstrip(), 'text')}:::\n"
    data = o.get('data', {})
    if 'text/markdown' in data: return f"::: {{.cell-output .cell-output-display}}\n{text(data['text/markdown'])}\n:::\n"
    if 'image/svg+xml' in data: return f"::: {{.cell-output .cell-output-display}}\n```{{=html}}\n{text(data['image/svg+xml'])}\n```\n:::\n"
    if 'image/png' in data:
        (folder/name).write_bytes(base64.b64decode(text(data['image/png'])))
        size = o.get('metadata', {}).get('image/png', {})
        more = ''.join(f' {k}={size[k]}' for k in ('width', 'height') if k in size)
        return f"::: {{.cell-output .cell-output-display}}\n![]({name}){{.img-fluid .figure-img{more} alt=\"{html.escape(alt or '')}\"}}\n:::\n"
    if 'text/plain' in data: return f"::: {{.cell-output .cell-output-display}}\n{fenced(text(data['text/plain']), 'text')}:::\n"
    return ''

def markdown(cells, folder, stem):
    "The cells of a processed notebook behind its front matter."
    parts = []
    for i, c in enumerate(cells):
        source = text(c.get('source', ''))
        if c['cell_type'] == 'markdown': parts.append(source)
        if c['cell_type'] != 'code': continue
        said, code = directives(source)
        shown = [output_markdown(o, said.get('fig-alt'), folder, f'{stem}-{i}-{j}.png') for j, o in enumerate(c.get('outputs', []))]
        if said.get('output') == 'asis': parts += [text(o['data']['text/markdown']) for o in c['outputs'] if 'text/markdown' in o.get('data', {})]
        else:
            block = fenced(code.strip('\n'), 'python', 'cell-code', 'code-overflow-wrap') if said.get('echo') is not False and code.strip() else ''
            if block and said.get('code-fold'): block = f"<details{' open' if said['code-fold'] == 'show' else ''}>\n<summary>{said.get('code-summary', 'Code')}</summary>\n\n{block}\n</details>\n"
            parts.append(f":::: {{.cell}}\n{block}\n{''.join(shown) if said.get('output') is not False else ''}\n::::\n")
    return '\n\n'.join(parts)

def build(page, processed, folder):
    "One page of the site into `folder` -> what Pandoc complained of."
    where = page.relative_to(processed)
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    front = yaml.safe_load(text(cells[0]['source']).strip().strip('-')) if cells[0]['cell_type'] == 'raw' else {}
    site = yaml.safe_load((processed.parent/'_quarto.yml').read_text(encoding='utf-8'))['format']['html']
    out = folder/where.parent/front.get('output-file', where.with_suffix('.html').name)
    out.parent.mkdir(parents=True, exist_ok=True)
    assert site['html-math-method'] == 'mathml'
    raw, kept = markdown(cells[1:], out.parent, out.stem), []
    def aside(m):                                                   # Pandoc takes long over pictures inside a page, and changes nothing in them
        kept.append(m[2])
        return f'{m[1]}{{=html}}\n<!--raw {len(kept) - 1}-->\n{m[1]}\n'
    raw = re.sub(r'^(`{3,})\{=html\}\n(.*?)\n\1$', aside, raw, flags=re.S | re.M)
    done = subprocess.run([pypandoc.get_pandoc_path(), '-f', 'markdown', '-t', 'html5', '--mathml', '--wrap=none'],
                          input=raw, capture_output=True, text=True, check=True)
    body = re.sub(r'href="([^":#]+)\.ipynb', r'href="\1.html', done.stdout)
    body = re.sub(r'<!--raw (\d+)-->', lambda m: kept[int(m[1])], body)
    header = ''.join(o['text'] for o in site.get('include-in-header', []))
    out.write_text(PAGE.format(title=front.get('title', ''), promise=front.get('description', ''), up='../'*(len(where.parts) - 1) or './', base=BASE, header=header, body=body), encoding='utf-8')
    return done.stderr

def files(processed, folder):
    "What lies beside the pages."
    for o in [processed/'styles.css', *processed.glob('*.js')]: shutil.copy(o, folder/o.name)
    for o in ('images', 'static'):
        if (processed/o).is_dir(): shutil.copytree(processed/o, folder/o, dirs_exist_ok=True)

def process(copy):
    "The notebooks as `nbdev_docs` hands them to Quarto, made in `copy`, an empty folder -> where they are."
    for o in ('settings.ini', '_quarto.yml', 'README.md'): shutil.copy(root/o, copy/o)
    shutil.copytree(root/'nbs', copy/'nbs', ignore=shutil.ignore_patterns('.ipynb_checkpoints', '_proc', '_docs'))
    shutil.copytree(root/'dsketch_nb', copy/'dsketch_nb', ignore=shutil.ignore_patterns('__pycache__'))
    run = ('from nbdev.quarto import refresh_quarto_yml, nbdev_sidebar; from nbdev.serve import proc_nbs\n'
           'refresh_quarto_yml(); nbdev_sidebar.__wrapped__(); proc_nbs(n_workers=0)')       # 0: all in this process

    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', run], cwd=copy, capture_output=True, text=True,
                          env=os.environ | {'PYTHONPATH': str(copy), 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'})
    assert done.returncode == 0, f'nbdev_docs would fail:\n{done.stderr[-2000:]}'
    return copy/'_proc'

if __name__ == '__main__':
    top = Path(sys.argv[1]).resolve()
    if not (top/'_proc').is_dir():
        top.mkdir(parents=True, exist_ok=True)
        process(top)
    (top/'html').mkdir(exist_ok=True)
    files(top/'_proc', top/'html')
    for page in sorted((top/'_proc').rglob('*.ipynb')):
        if not sys.argv[2:] or any(o in str(page) for o in sys.argv[2:]): print(page.name, build(page, top/'_proc', top/'html'), end='')
