"""The compiled loops of the optimiser in the page: dsketch_nb/static/engine.c as WebAssembly, within engine.js.

    pip install ziglang==0.17.1
    python tests/wasm.py            compile, and put the bytes into engine.js
    python tests/wasm.py --size     say how many there are

ziglang is Clang and a linker that come as one wheel, so that the same source becomes the same bytes on every machine.
"""
import base64, hashlib, importlib.util, os, re, subprocess, sys, tempfile
from importlib.metadata import version
from pathlib import Path

STATIC = Path(__file__).parent.parent/'dsketch_nb'/'static'
NEEDS = '0.17.1'
COMPILE = ['cc', '-c', '-target', 'wasm32-freestanding', '-mcpu=mvp+simd128+bulk_memory', '-Os', '-ffreestanding', '-fvisibility=hidden', '-fno-sanitize=all',
           '-ffp-contract=off', '-fno-unroll-loops', '-Wall', '-Werror']
LINK = ['wasm-ld', '--no-entry', '--export-dynamic', '--strip-all', '--compress-relocations', '-O2', '-z', 'stack-size=16384']
LINE = re.compile(r"^// engine\.c, compiled by ziglang (\S+); sha256 of the source: (\w+)\nconst WASM = '(.*)';$", re.M)

def source(): return (STATIC/'engine.c').read_text(encoding='utf-8')
def digest(): return hashlib.sha256(source().encode()).hexdigest()

def recorded():
    "What engine.js holds: version of the compiler, sha256 of the source, bytes."
    compiler, sha, code = LINE.search((STATIC/'engine.js').read_text(encoding='utf-8')).groups()
    return compiler, sha, base64.b64decode(code)

def has_compiler(): return importlib.util.find_spec('ziglang') is not None and version('ziglang') == NEEDS

def compiled():
    "The bytes that the source becomes."
    with tempfile.TemporaryDirectory() as folder:
        def zig(*args): subprocess.run([sys.executable, '-m', 'ziglang', *args], cwd=folder, check=True, env=os.environ | dict.fromkeys(['ZIG_GLOBAL_CACHE_DIR', 'ZIG_LOCAL_CACHE_DIR'], folder))
        Path(folder, 'engine.c').write_text(source(), encoding='utf-8', newline='\n')
        zig(*COMPILE, 'engine.c', '-o', 'engine.o')
        zig(*LINK, 'engine.o', '-o', 'engine.wasm')
        return Path(folder, 'engine.wasm').read_bytes()

def main():
    if '--size' in sys.argv:
        print(f'{len(recorded()[2]):,} bytes')
        return 0
    if not has_compiler():
        print(f'the compiler is missing: pip install ziglang=={NEEDS}')
        return 1
    code = compiled()
    line = f"// engine.c, compiled by ziglang {NEEDS}; sha256 of the source: {digest()}\nconst WASM = '{base64.b64encode(code).decode()}';"
    text, found = LINE.subn(lambda _: line, (STATIC/'engine.js').read_text(encoding='utf-8'))
    assert found == 1, 'engine.js has no place for the bytes'
    for folder in (STATIC, STATIC.parent.parent/'nbs'): (folder/'engine.js').write_text(text, encoding='utf-8', newline='\n')
    print(f'{len(code):,} bytes')
    return 0

if __name__ == '__main__': sys.exit(main())
