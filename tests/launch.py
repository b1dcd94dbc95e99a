"""The commands in processes of their own that start in a moment: a server has everything imported, and forks.

What happens to them here is what happens to commands: a signal, a disk that is full, a folder that one may not write to, a death at a chosen file."""
import contextlib, ctypes, multiprocessing, os, resource, signal, sys, time
from pathlib import Path

from dsketch_nb.command import start

def humble():
    "Without the rights that let root write anywhere; everybody else has not got them anyway."
    if os.getuid() == 0: ctypes.CDLL(None, use_errno=True).capset((ctypes.c_uint32*2)(0x20080522, 0), (ctypes.c_uint32*6)())

def dies(n, after):
    "The process ends, as by kill -9, at the n-th file that becomes final: before, or after."
    real, seen = os.replace, [0]
    def replace(*a, **k):
        seen[0] += 1
        if seen[0] == n and not after: os._exit(137)
        real(*a, **k)
        if seen[0] == n: os._exit(137)
    os.replace = replace

def watch(log, *events):
    "Every event of the interpreter of these kinds, a line each: what is opened to be written, what is unpickled, who is called."
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    def hook(event, args):
        if event == 'open':
            if isinstance(args[0], int) or not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT): return
        elif not event.startswith(events): return
        elif event == 'pickle.find_class':                                           # numba keeps compiled code beside the package's own, as pickles of its own making
            frame = sys._getframe()
            while frame:
                if frame.f_globals.get('__name__', '').startswith(('numba.', 'multiprocessing.')): return
                frame = frame.f_back
        os.write(out, f'{event} {args!r}\n'.encode(errors='replace'))
    sys.addaudithook(hook)

def _run(command, argv, cwd, setup):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for fd, name in ((1, 'said.out'), (2, 'said.err')): os.dup2(os.open(Path(cwd)/name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), fd)
    os.chdir(cwd)
    for g, *args in setup: g(*args)
    start(command, list(map(str, argv)))

def ends(fd, how):
    "A stream of the process that has ended: `closed`, a `pipe` that nobody reads, a `full` disk, an `ascii` console, or `none` at all."
    name = {1: 'stdout', 2: 'stderr'}[fd]
    if how == 'closed': os.close(fd)
    elif how == 'none':
        os.close(fd)
        setattr(sys, name, None)
    elif how == 'ascii': setattr(sys, name, open(fd, 'w', encoding='ascii', closefd=False))
    else:
        if how == 'full': to = os.open('/dev/full', os.O_WRONLY)
        else:
            reader, to = os.pipe()
            os.close(reader)
        os.dup2(to, fd)

context = multiprocessing.get_context('forkserver')
context.set_forkserver_preload(['dsketch_nb.experiments', 'dsketch_nb.classifiers', 'dsketch_nb.oneshot', 'dsketch_nb.compiled', 'sklearn.datasets'])

class Started:
    "A command at work in `cwd`, which also keeps what it says."
    def __init__(self, command, *argv, cwd, setup=()):
        self.cwd, self.begin = Path(cwd), time.monotonic()
        self.process = context.Process(target=_run, args=(command, argv, str(cwd), setup))
        self.process.start()

    def send(self, how):
        with contextlib.suppress(ProcessLookupError): os.kill(self.process.pid, how)

    @property
    def over(self): return not self.process.is_alive()

    def until(self, ready, seconds=300):
        "Until `ready()`, or the end."
        end = time.monotonic() + seconds
        while not (self.over or ready()):
            assert time.monotonic() < end, 'it takes too long'
            time.sleep(.01)
        return self

    def end(self, seconds=600):
        "Exit code (negative: of a signal), what it said, what it complained of."
        self.process.join(seconds)
        late = self.process.is_alive()
        if late: self.process.kill(); self.process.join()
        self.seconds = time.monotonic() - self.begin
        out, err = ((self.cwd/f'said.{o}').read_text(errors='replace') if (self.cwd/f'said.{o}').exists() else '' for o in ('out', 'err'))
        assert not late, f'still at work after {seconds} s:\n{err[-2000:]}'
        return self.process.exitcode, out, err

def call(command, *argv, cwd, setup=(), seconds=600): return Started(command, *argv, cwd=cwd, setup=setup).end(seconds)

def file_limit(n): resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))
def memory_limit(n): resource.setrlimit(resource.RLIMIT_AS, (n, n))

def _measured(f, args, answer):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.monotonic()
    try: said = f(*args)
    except Exception as e: said = e
    answer.send((said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)*1024, time.monotonic() - begin))

def measured(f, *args, seconds=600):
    "f(*args) in a process of its own: what it answers or raises, by how many bytes the process grew, and how many seconds it took."
    mine, theirs = context.Pipe(False)
    p = context.Process(target=_measured, args=(f, args, theirs))
    p.start()
    theirs.close()
    try:
        assert mine.poll(seconds), f'no answer within {seconds} s'
        return mine.recv()
    except EOFError:
        p.join()
        raise AssertionError(f'it died: {p.exitcode}') from None
    finally: p.kill(); p.join()
