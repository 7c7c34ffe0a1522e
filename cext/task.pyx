"""Task: a head and a chain of operators between input lanes and output ports, run a step at a time."""

cimport cython
from cext.chain cimport Operator
from cext.clock cimport monotonic_ns
from cext.debug cimport HEADGATE_DEBUG, TASKS, born as count_born, died as count_died
from cext.frame cimport BARRIER, DATA, END, IDLE as IDLE_MARK, WATERMARK, mark_frame
from cext.instant cimport NEVER
from cext.port cimport HASH, Port

cdef Py_ssize_t UNLIMITED = 1 << 30
cdef int64_t ADAPT_NS = 100_000_000  # how often windows are sized: the period of Window
cdef int64_t MARK_NS = 5_000_000  # how long event time may go untold while records come: a mark ends a frame


@cython.final
cdef class Lane:
    """One input of a task."""

    def __cinit__(self, Channel channel not None, bint is_table=False):
        self.channel = channel
        self.is_table = is_table
        self.watermark = NEVER


@cython.final
cdef class Task:
    """Steps records from `lanes` (channels) through `head`, `chain` and `router` into `outputs`.

    `outputs[i]`: the ports that get the router's i-th part (without a router there is one); `letters`: the ports
    that get dead letters; `late`: those that get records that came too late; `tables`: those of `lanes` whose records
    make a table, by which event time does not go; `waits`: whether the others wait until these have all ended or been
    idle once. The whole contract is `step`: if an
    output has no credit, nothing is read; else one frame moves. So a consumer that stops stops its producer, whatever
    lies between.
    """

    def __cinit__(
        self,
        str name not None,
        Head head not None,
        list lanes not None,
        list chain not None,
        list outputs not None,
        letters=(),
        Router router=None,
        Py_ssize_t frame_records=1024,
        int64_t linger=1_000_000,
        late=(),
        tables=(),
        bint waits=False,
    ):
        self.name = name
        self.head = head
        self.source = head if isinstance(head, Source) else None
        self.sink = head if isinstance(head, Sink) else None
        self.lanes = [Lane(channel, channel in tables) for channel in lanes]
        self.waiting = waits
        if self.sink is not None and lanes:  # while it writes one batch, the next one gathers
            self.sink.cost.most = min([channel.bound for channel in lanes]) // 2
        self.chain = chain
        self.watermarks = next((each for each in chain if isinstance(each, Watermarks)), None)
        self.outputs = outputs
        self.letters = list(letters)
        self.late = list(late)
        self.router = router
        self.side = Sideline()
        self.frame_records = frame_records
        self.linger = linger
        self.ports = [port for ports in outputs for port in ports] + self.letters + self.late
        # A record that leaves by several hash ports may be refused by each.
        self.letters_per_row = max(1, sum([(<Port>port).route == HASH for port in self.ports]))
        self.watermark = NEVER
        self.whole = True
        self.state = IDLE
        if HEADGATE_DEBUG:
            count_born(TASKS)

    def __dealloc__(self):
        if HEADGATE_DEBUG:
            count_died(TASKS)

    # One step.

    cdef int step(self):
        """Move one frame if there is one and room for it; what is raised inside ends the task, not the caller."""
        cdef int64_t now = monotonic_ns()
        cdef int state
        self._account(now, BUSY)
        try:
            state = self._step(now)
        except BaseException as error:
            self._fail(error)
            state = BUSY
        if state == BACKPRESSURED and self.watermarks is not None:
            self.watermarks.held = True
        if state == BUSY:
            self._account(monotonic_ns(), self._after())
            return BUSY
        # A look in vain belongs to the wait that it is part of.
        self.state = BUSY if state == IDLE and self.head.waiting else state
        self._account(monotonic_ns(), self.state)
        return state

    cdef int _account(self, int64_t now, int state) noexcept:
        """The time since the last call belongs to the state that ran; `state` runs from here on."""
        if self.state != DONE and self.since != 0:  # its time begins with the first work
            self.nanoseconds[self.state] += now - self.since
        self.since = now
        self.state = state
        return 0

    cdef int charge(self, int64_t begin) noexcept:
        """Since `begin` its thread has worked for it between two steps: it was busy then, whatever it waits for."""
        cdef int state = self.state
        self._account(begin, BUSY)
        self._account(monotonic_ns(), state)
        return 0

    cdef int _step(self, int64_t now) except -1:
        cdef list rows
        cdef bint fed
        if self.done:
            return DONE
        if now - self.adapted >= ADAPT_NS:
            self._adapt(now)
        if self.cancelled and not self.dropping:
            self._start_dropping()
        if self.mark is not None and (self.passing or self.dropping or self.head.drained()):
            return self._pass_mark()
        if self.dropping:
            return self._drop()
        cdef Py_ssize_t room = self._room()
        if room <= 0:
            if self.source is not None and self.source.stopping and not self._has_rest():  # its end costs no credit
                self.source.exhausted = True
                return self._rest(now)
            self._flush(now)
            return BACKPRESSURED
        if self._has_rest():
            return self._go_on(room, now)
        fed = self.sink is not None and self._gather(now)
        room = min(room, self._cut() if self.sink is None else max(self._cut(), self.sink.good()))
        rows = self.head.more(room, now, self.side)
        if rows is None and self.sink is None and self._feed(now):
            fed = True
            rows = self.head.more(room, now, self.side)
        if rows is None:
            return BUSY if fed else self._rest(now)  # it took a mark, or gathers a batch
        self._through(rows, now)
        if not self._has_rest():
            self.head.settle()
        # The next read may have to wait.
        cdef bint is_all = self.source is not None and self.source.blocking and len(rows) < room
        self._flush(now if is_all else now - self.linger)
        self._make_mark(now, is_all)
        return BUSY

    cdef int _go_on(self, Py_ssize_t room, int64_t now) except -1:
        """The mark is out that records had to wait for."""
        self._through(self.watermarks.take_rest(room), now, self.chain.index(self.watermarks))
        if not self._has_rest():
            self.head.settle()
        self._make_mark(now, False)
        return BUSY

    cdef bint _has_rest(self) noexcept:
        """Whether records wait for a mark that had to go before them."""
        return self.watermarks is not None and len(self.watermarks.rest) > 0

    cdef int _adapt(self, int64_t now) except -1:
        """Let every lane size its window, by whether this task waited for records more than for credit."""
        cdef int64_t idle = self.nanoseconds[<int>IDLE], blocked = self.nanoseconds[<int>BACKPRESSURED]
        cdef bint could_work = idle - self.idle_before >= blocked - self.blocked_before
        cdef Lane lane
        for lane in self.lanes:
            lane.channel.adapt(now, could_work, 0 if self.sink is None else self.sink.cost.batch)
        self.adapted, self.idle_before, self.blocked_before = now, idle, blocked
        return 0

    cdef int _rest(self, int64_t now) except -1:
        """Nothing to read: let go of what waits for a fuller frame."""
        self._flush(now)
        if self.source is not None and self.source.exhausted:
            if self.source.whole and self._make_mark(now, True):
                return BUSY
            self.whole = self.source.whole
            self._end()
            return BUSY
        return BUSY if self._make_mark(now, True) else IDLE

    cdef Py_ssize_t _room(self) noexcept:
        """How many records may leave, whichever port they take, as records or as dead letters."""
        cdef Py_ssize_t least = UNLIMITED
        cdef Port port
        for port in self.letters:
            least = min(least, port.room() // self.letters_per_row)
        for port in self.late:
            least = min(least, port.room())
        for ports in self.outputs:
            for port in <list>ports:
                least = min(least, port.room())
        return least

    cdef Py_ssize_t _cut(self) noexcept:
        cdef Py_ssize_t least = self.frame_records
        cdef Port port
        for port in self.ports:
            least = min(least, port.cut())
        return least

    cdef int _flush(self, int64_t before) except -1:
        cdef Port port
        for port in self.ports:
            port.flush(before)
        return 0

    cdef int _after(self) noexcept:
        """What a task that has just done something waits for now: its next turn counts as idle, since it is the thread
        that is busy, and with whom is seen by who is."""
        if self.done:
            return DONE
        return BACKPRESSURED if self._room() <= 0 else IDLE

    # In.

    cdef bint _gather(self, int64_t now) except -1:
        """Hand a sink what makes a good write, as far as it waits already; False if nothing does."""
        cdef bint fed = False
        while self._feed(now):
            fed = True
        return fed

    cdef bint _feed(self, int64_t now) except -1:
        """Take a frame from the next lane that has one; False if there is none to take."""
        cdef Py_ssize_t i, count = len(self.lanes)
        cdef Lane lane
        cdef Frame frame
        if self.mark is not None or not self.head.hungry():
            return False
        for i in range(count):
            lane = <Lane>self.lanes[(self.turn + i) % count]
            if lane.ended or (not lane.is_table if self.waiting else lane.held):
                continue
            if self.sink is not None and self.sink.gathers() and lane.channel.is_empty():
                continue  # no shortage: it works with what it has
            frame = lane.channel.take()
            if frame is None:
                continue
            self.turn = (self.turn + i + 1) % count
            self.frames_in += 1
            lane.idle = frame.kind == IDLE_MARK
            if frame.kind == DATA:
                self.head.accept(lane.channel, frame, now)
            else:
                self._take_mark(lane, frame)
            return True
        return False

    cdef int _take_mark(self, Lane lane, Frame mark) except -1:
        if mark.kind == WATERMARK:
            lane.watermark = max(lane.watermark, mark.value)
        if mark.kind == IDLE_MARK:
            lane.was_read = True
            self._await_tables()
        if mark.kind == WATERMARK or mark.kind == IDLE_MARK:
            return self._raise_watermark()
        if mark.kind == BARRIER:
            lane.held = True
            self.barrier = mark
            return self._align()
        lane.ended = lane.was_read = True
        self._await_tables()
        self.whole = self.whole and mark.value
        if self._all_ended():
            return self._end()
        if self.barrier is not None:
            self._align()
        return 0 if self.mark is not None else self._raise_watermark()

    cdef int _await_tables(self) except -1:
        """Wait on only while some table was not read once.

        While it waits a barrier holds up no table, for that of the other lanes waits too. So what stands behind it may
        be in a snapshot, and will be put there once more, which changes nothing.
        """
        cdef Lane lane
        if self.waiting:
            self.waiting = not all([lane.was_read for lane in self.lanes if lane.is_table])
        return 0

    cdef int _raise_watermark(self) except -1:
        """The task's event time is the least of its lanes'; one that has ended or is idle does not count.

        When all are idle, the one furthest ahead tells the time. A task that makes its own takes no notice.
        """
        cdef int64_t least = -NEVER, furthest = NEVER
        cdef bint idle = True
        cdef Lane lane
        if self.watermarks is not None:
            return 0
        for lane in self.lanes:
            if lane.is_table:
                continue
            furthest = max(furthest, lane.watermark)
            if not lane.ended and not lane.idle:
                idle = False
                least = min(least, lane.watermark)
        least = min(least, furthest)
        if least > self.watermark or self.idle and not idle:
            self._tell(max(least, self.watermark), False)
            self.head.advance(self.watermark)
        elif idle and not self.idle:
            self._tell(self.watermark, True)
        return 0

    cdef int _tell(self, int64_t time, bint idle) except -1:
        """It is `time` here, or nothing comes for now; a sink has nobody to tell.

        Those behind are told of a time that nothing that the head gives is late for.
        """
        self.watermark = time
        self.idle = idle
        if self.outputs:
            self.mark = mark_frame(IDLE_MARK, 0) if idle else mark_frame(WATERMARK, time - self.head.delay)
        return 0

    cdef bint _make_mark(self, int64_t now, bint is_due) except -1:
        """Tell of the event time that the task makes itself, if that is due or records wait for it; whether it does."""
        cdef Watermarks own = self.watermarks
        if own is None or self.mark is not None:
            return False
        cdef bint idle = own.is_idle()
        cdef int64_t time = own.watermark()
        if time > self.watermark or self.idle and not idle:
            if not (is_due or self._has_rest() or now - self.marked_at >= MARK_NS):
                return False
            own.told = time
            self.marked_at = now
            self._tell(time, False)
        elif idle and not self.idle:
            self._tell(time, True)
        self.passing = self.mark is not None  # it does not wait until the head is drained
        return self.passing

    cdef int _align(self) except -1:
        """A barrier goes on once every lane that still runs has brought it; until then those that have are held."""
        cdef Lane lane
        for lane in self.lanes:
            if not lane.ended and not lane.held:
                return 0
        for lane in self.lanes:
            lane.held = False
        self.mark, self.barrier = self.barrier, None
        self.head.hurry = True
        return 0

    cdef bint _all_ended(self) noexcept:
        cdef Lane lane
        for lane in self.lanes:
            if not lane.ended:
                return False
        return True

    # Out.

    cdef int _through(self, list rows, int64_t now, Py_ssize_t first=0) except -1:
        """Run `rows` through the chain and send what comes out; then raise what ended it, if anything did."""
        cdef Py_ssize_t at
        for at in range(first, len(self.chain)):
            if not rows:
                break
            rows = (<Operator>self.chain[at]).run(rows, self.side)
        if rows:
            self._send(rows, now)
        if self.side.late:
            self._send_to(self.late, self.side.take_late(), now)
        if self.side.letters:
            self._send_to(self.letters, self.side.take_letters(), now)
        if self.side.failure is not None:
            raise self.side.take_failure()
        return 0

    cdef int _send(self, list rows, int64_t now) except -1:
        cdef Py_ssize_t at
        self.records_out += len(rows)
        if self.router is None:
            return self._send_to(<list>self.outputs[0], rows, now) if self.outputs else 0
        cdef list parts = self.router.route(rows, self.side)
        for at in range(len(parts)):
            if <list>parts[at]:
                self._send_to(<list>self.outputs[at], <list>parts[at], now)
        return 0

    cdef int _send_to(self, list ports, list rows, int64_t now) except -1:
        cdef Port port
        for port in ports:
            port.emit(rows, self.head.born, now, self.side)
        return 0

    cdef int _pass_mark(self) except -1:
        """Send the mark to every port, in as many steps as their rings need; the end closes the head first."""
        if self.mark.kind == END:
            if not self.closed:
                self.closed = True
                self.head.close(self.mark.value)
            if self.head.open_thread() is not None and not self.abandoned:
                return IDLE
        self.passing = True
        while self.marked < len(self.ports):
            if not (<Port>self.ports[self.marked]).push_mark(self.mark) and not self.abandoned:
                return BACKPRESSURED
            self.marked += 1
        self.marked = 0
        self.passing = False
        self.done = self.mark.kind == END
        self.mark = None
        self.head.hurry = False
        if not (self.done or self.dropping):
            self._raise_watermark()  # the lane whose end let a barrier go on may have held event time back too
        return BUSY

    # The end.

    cdef int _end(self) except -1:
        """Nothing more comes in: let the head give what it kept for now, then pass the end on."""
        self.mark = mark_frame(END, self.whole and not self.dropping)
        self.head.hurry = True
        self.head.finish(self.mark.value)
        return 0

    cdef int _fail(self, object failure) except -1:
        """From here on everything that comes in is dropped; those downstream learn it as a stream cut short."""
        if not self.dropping:  # what fails while the pieces are picked up is a consequence
            self.failure = failure
            self._start_dropping()
        return 0

    cdef int _start_dropping(self) except -1:
        self.dropping = True
        self._flush(monotonic_ns())  # what is out already does not wait for the end
        self.dropped += self.head.discard() + self.side.lost
        if self.watermarks is not None:
            self.dropped += len(self.watermarks.rest)
            self.watermarks.rest = []
        self.side = Sideline()
        self.barrier = None
        if not self.passing:  # a mark that some ports have had goes on to the others
            self.mark = None
        return 0

    cdef int _drop(self) except -1:
        """Let what comes in go by, unread, until every lane has ended; then pass a cut end on."""
        cdef Lane lane
        cdef Frame frame
        cdef bint moved = False
        for lane in self.lanes:
            while not lane.ended:
                frame = lane.channel.take()
                if frame is None:
                    break
                moved = True
                lane.ended = frame.kind == END
                self.dropped += frame.records
                lane.channel.release(frame.records)
        if self._all_ended() or self.abandoned:
            self.mark = mark_frame(END, False)
            moved = True
        return BUSY if moved else IDLE

    # For others, from any thread.

    cdef int64_t deadline(self) noexcept:
        """When it should be stepped though nothing has happened, monotonic ns; below 0: never."""
        if self.done or self.dropping or self.state == BACKPRESSURED:  # then credit wakes it
            return -1
        return self.head.deadline()

    def cancel(self):
        """Drop everything from now on; it still passes the end on and closes what it opened."""
        self.cancelled = True

    def abandon(self):
        """Cancel, and wait for nobody: those before it may never end, those behind it may never take its end."""
        self.abandoned = self.cancelled = True

    def run_until_idle(self, int steps=1_000_000):
        """Step until nothing moves, at most `steps` times; for tests and tools that drive a task by hand."""
        cdef int taken = 0
        while taken < steps and self.step() == BUSY:
            taken += 1
        return taken

    def take_failure(self):
        """What ended the task, once; then None."""
        failure, self.failure = self.failure, None
        return failure

    @property
    def input_channels(self):
        """The channels of its lanes."""
        return [(<Lane>lane).channel for lane in self.lanes]

    @property
    def event_time(self):
        """The watermark here, in ms since the epoch; None before there is one."""
        return None if self.watermark == NEVER else self.watermark

    def counters(self):
        """What it has done so far: seconds in each state, records and frames in and out, records dropped."""
        cdef int64_t now = monotonic_ns()
        cdef list seconds = [self.nanoseconds[i] / 1e9 for i in range(3)]
        if self.state != DONE and self.since != 0:
            seconds[self.state] += max(0, now - self.since) / 1e9
        return {
            "busy": seconds[0],
            "idle": seconds[1],
            "backpressured": seconds[2],
            "records_in": self.head.records_in,
            "records_out": self.records_out,
            "frames_in": self.frames_in,
            "frames_out": sum([channel.frames for port in self.ports for channel in (<Port>port).channels]),
            "dropped": self.dropped,
        }
