"""Task: a head and a chain of operators between input lanes and output ports, run a step at a time."""

cimport cython
from cext.chain cimport Operator
from cext.clock cimport monotonic_ns
from cext.debug cimport HEADGATE_DEBUG, TASKS, born as count_born, died as count_died
from cext.atomics cimport load, store
from cext.frame cimport BARRIER, DATA, END, IDLE as IDLE_MARK, WATERMARK, mark_frame
from cext.instant cimport NEVER
from cext.lanes cimport Lane
from cext.port cimport HASH, Port

cdef Py_ssize_t UNLIMITED = 1 << 30
cdef int64_t ADAPT_NS = 100_000_000  # how often windows are sized: the period of Window
cdef int64_t MARK_NS = 5_000_000  # how long event time may go untold while records come: a mark ends a frame


@cython.final
cdef class Task:
    """Steps records from `lanes` (Lanes, or channels that give in turn) through head, chain and router into `outputs`.

    `outputs[i]`: the ports that get the router's i-th part (without a router there is one); `letters`: the ports
    that get dead letters; `aside[i]`: those that get what the head sets aside under that number. The whole contract is
    `step`: if an output has no credit, nothing is read; else one frame moves. So a consumer that stops stops its
    producer, whatever lies between.
    """

    def __cinit__(
        self,
        str name not None,
        Head head not None,
        lanes not None,
        list chain not None,
        list outputs not None,
        letters=(),
        Router router=None,
        Py_ssize_t frame_records=1024,
        int64_t linger=1_000_000,
        aside=(),
    ):
        self.name = name
        self.head = head
        self.source = head if isinstance(head, Source) else None
        self.sink = head if isinstance(head, Sink) else None
        self.lanes = lanes if isinstance(lanes, Lanes) else Lanes([Lane(channel) for channel in lanes])
        if self.sink is not None and self.lanes.each:  # while it writes one batch, the next one gathers
            self.sink.cost.most = min([channel.bound for channel in self.input_channels]) // 2
        self.chain = chain
        self.watermarks = next((each for each in chain if isinstance(each, Watermarks)), None)
        self.outputs = outputs
        self.letters = list(letters)
        self.aside = list(aside)
        self.router = router
        self.side = Sideline()
        self.frame_records = frame_records
        self.linger = linger
        self.ports = [port for ports in [*outputs, self.letters, *self.aside] for port in ports]
        # A record that leaves by several hash ports may be refused by each.
        self.letters_per_row = max(1, sum([(<Port>port).route == HASH for port in self.ports]))
        self.watermark = self.reached = NEVER
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
            if self.state == IDLE and self.lanes.braked:
                self.drifting += now - self.since
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
        if self.source is not None and self.source.requested > self.checkpoint and not self._has_rest():
            self.mark = mark_frame(BARRIER, self.source.requested)
            return BUSY
        if self.sink is not None:
            self.sink.commit()
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
            if fed:
                return BUSY  # it took a mark, or gathers a batch
            if self.sink is not None:  # which has nothing else to do meanwhile
                self.sink.settle_commits(True)
            return self._rest(now)
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
        for lane in self.lanes.each:
            lane.channel.adapt(now, could_work, 0 if self.sink is None else self.sink.cost.batch)
        self.adapted, self.idle_before, self.blocked_before = now, idle, blocked
        return 0

    cdef int _rest(self, int64_t now) except -1:
        """Nothing to read: let go of what waits for a fuller frame."""
        self._flush(now)
        if self.source is not None and self.source.exhausted:
            if self.source.whole and self._make_mark(now, True):
                return BUSY
            self.lanes.whole = self.source.whole
            self._end()
            return BUSY
        return BUSY if self._make_mark(now, True) else IDLE

    cdef Py_ssize_t _room(self) noexcept:
        """How many records may leave, whichever port they take, as records or as dead letters."""
        cdef Py_ssize_t least = UNLIMITED
        cdef Port port
        for port in self.letters:
            least = min(least, port.room() // self.letters_per_row)
        for ports in self.outputs:
            for port in <list>ports:
                least = min(least, port.room())
        for ports in self.aside:
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
        cdef Frame frame
        if self.mark is not None or not self.head.hungry():
            return False
        frame = self.lanes.take(self.sink is not None and self.sink.gathers())  # who gathers works with what it has
        if frame is None:
            return False
        self.frames_in += 1
        if frame.kind == DATA:
            self.head.accept(self.lanes.last.channel, frame, now)
            if self.idle:  # what comes of it ends that downstream, so the next time must be told again
                self._raise_watermark()
        else:
            self._take_mark(frame)
        return True

    cdef int _take_mark(self, Frame mark) except -1:
        if mark.kind == WATERMARK:
            self.lanes.tell(mark.value)
        if mark.kind == WATERMARK or mark.kind == IDLE_MARK:
            return self._raise_watermark()
        if mark.kind == BARRIER:
            self.lanes.bring(mark.value)
            return self._align()
        self.lanes.end(mark.value)
        if self.lanes.have_ended():
            return self._end()
        self._align()
        return 0 if self.mark is not None else self._raise_watermark()

    cdef int _raise_watermark(self) except -1:
        """The event time here is the lanes'. A task that makes its own tells that; only its head goes by this."""
        cdef bint idle
        cdef int64_t time = self.lanes.event_time(&idle)
        if time > self.reached:
            self.reached = time
            self.head.advance(time)
        if self.watermarks is not None:
            return 0
        if time > self.watermark or self.idle and not idle:
            self._tell(max(time, self.watermark), False)
        elif idle and not self.idle:
            self._tell(self.watermark, True)
            self.head.idle()
        return 0

    cdef int _tell(self, int64_t time, bint idle) except -1:
        """It is `time` here, or nothing comes for now; a sink has nobody to tell.

        Those behind are told of a time that nothing that the head gives is late for.
        """
        cdef int64_t delay = self.head.delay if self.watermarks is None else 0
        self.watermark = time
        self.idle = idle
        if self.outputs:
            self.mark = mark_frame(IDLE_MARK, 0) if idle else mark_frame(WATERMARK, time - delay)
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
        """A barrier that all lanes have brought goes on."""
        cdef uint64_t barrier = self.lanes.aligned()
        if barrier != 0:
            self.mark = mark_frame(BARRIER, barrier)
            self.head.hurry = True
        return 0

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
        if self.side.set_aside:
            self._send_aside(now)
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

    cdef int _send_aside(self, int64_t now) except -1:
        """Send what the head has set aside; what nobody reads goes nowhere."""
        cdef list parts = self.side.take_aside()
        cdef Py_ssize_t at
        for at in range(min(len(parts), len(self.aside))):
            if <list>parts[at]:
                self._send_to(<list>self.aside[at], <list>parts[at], now)
        return 0

    cdef int _send_to(self, list ports, list rows, int64_t now) except -1:
        cdef Port port
        for port in ports:
            port.emit(rows, self.head.born, now, self.side)
        return 0

    cdef int _pass_mark(self) except -1:
        """Send the mark to every port, in as many steps as their rings need; the end closes the head first."""
        if self.mark.kind == BARRIER and not self.passing:
            self._keep(self.mark.value, False)
        if self.mark.kind == END:
            if not self.closed:
                if self.mark.value and not self._may_close():
                    return IDLE
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

    # Checkpoints.

    cdef int _keep(self, int64_t checkpoint, bint is_last) except -1:
        """Hand on what it knows as `checkpoint` has it."""
        cdef dict states = {}
        cdef Operator operator
        self.checkpoint = checkpoint
        if self.checkpointed is None:
            return 0
        state = self.head.snapshot(checkpoint)
        if state is not None:
            states[self.head.name] = state
        for operator in self.chain:
            state = operator.snapshot()
            if state is not None:
                states[operator.name] = state
        self.checkpointed(self, checkpoint, is_last, states)
        return 0

    cdef bint _may_close(self) except -1:
        """At a whole end: whether what it knows is in a complete checkpoint, as far as somebody outside is to see it.

        It passes no further barrier, so whatever checkpoint is complete after the last one has its last word in it.
        """
        if self.checkpointed is None or self.abandoned:
            return True
        if not self.kept:
            self.kept = True
            self._keep(self.checkpoint + 1, True)
        if self.sink is None:
            return True
        if self.sink.commit():
            return False
        self.sink.settle_commits(True)
        return True

    # The end.

    cdef int _end(self) except -1:
        """Nothing more comes in: let the head give what it kept for now, then pass the end on."""
        self.mark = mark_frame(END, self.lanes.whole and not self.dropping)
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
        if not self.passing:  # a mark that some ports have had goes on to the others
            self.mark = None
        return 0

    cdef int _drop(self) except -1:
        """Let what comes in go by, unread, until every lane has ended; then pass a cut end on."""
        cdef Lane lane
        cdef Frame frame
        cdef bint moved = False
        for lane in self.lanes.each:
            while not lane.ended:
                frame = lane.channel.take()
                if frame is None:
                    break
                moved = True
                lane.ended = frame.kind == END
                self.dropped += frame.records
                lane.channel.release(frame.records)
        if self.lanes.have_ended() or self.abandoned:
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

    def expect_barrier(self, uint64_t checkpoint):
        """Hold no lane for event time until the barrier of `checkpoint` has passed; wake the task's thread then.

        Whoever starts a checkpoint says so to all tasks, before the barrier is in any lane of one that it may hold up.
        """
        if checkpoint > load(&self.lanes.expected):
            store(&self.lanes.expected, checkpoint)

    def drop_barrier(self, uint64_t checkpoint):
        """Hold no lane for the barrier of `checkpoint`, which was given up; wake the task's thread then."""
        if checkpoint > load(&self.lanes.over):
            store(&self.lanes.over, checkpoint)

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
        return [(<Lane>lane).channel for lane in self.lanes.each]

    @property
    def event_time(self):
        """The watermark here, in ms since the epoch; None before there is one."""
        return None if self.watermark == NEVER else self.watermark

    def counters(self):
        """What it has done so far: seconds in each state, records and frames in and out, records dropped."""
        cdef int64_t now = monotonic_ns()
        cdef list seconds = [self.nanoseconds[i] / 1e9 for i in range(3)]
        cdef double drifting = self.drifting / 1e9
        if self.state != DONE and self.since != 0:
            seconds[self.state] += max(0, now - self.since) / 1e9
            if self.state == IDLE and self.lanes.braked:
                drifting += max(0, now - self.since) / 1e9
        return {
            "busy": seconds[0],
            "idle": seconds[1],
            "backpressured": seconds[2],
            "records_in": self.head.records_in,
            "records_out": self.records_out,
            "frames_in": self.frames_in,
            "frames_out": sum([channel.frames for port in self.ports for channel in (<Port>port).channels]),
            "dropped": self.dropped,
            "drifting": drifting,
        }
