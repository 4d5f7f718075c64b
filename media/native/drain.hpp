// SPDX-License-Identifier: GPL-3.0-or-later
// The hub's contents as Python objects. Only SWIG's wrapper includes this: nothing else here knows Python.
#pragma once

#include <Python.h>

#include <utility>

#include "hub.hpp"
#include "pcm_port.hpp"

namespace parley {

// Builds Python's frames without running Python: their class is a dataclass with slots, so an instance is a bare object
// and five slot descriptors. At 15,000 frames a second its __init__ was a quarter of what the event loop did.
class FrameBuilder {
  public:
    // `frame_type` has the slots below; `flags` is a tuple with the flag object for each combination of native bits.
    // Returns false with a Python exception set.
    bool configure(PyObject *frame_type, PyObject *flags) {
        if (!PyType_Check(frame_type) || !PyTuple_Check(flags)) {
            PyErr_SetString(PyExc_TypeError, "a frame class and a tuple of flags are needed");
            return false;
        }
        static const char *const kNames[kSlots] = {"pcm", "sample_rate_hz", "position_samples", "arrived_at", "flags"};
        PyObject *slots[kSlots] = {};
        for (size_t i = 0; i < kSlots; ++i) {
            slots[i] = PyDict_GetItemString(reinterpret_cast<PyTypeObject *>(frame_type)->tp_dict, kNames[i]);
            if (!slots[i] || !Py_TYPE(slots[i])->tp_descr_set) {
                PyErr_Format(PyExc_TypeError, "the frame class has no slot %s", kNames[i]);
                return false;
            }
        }
        Py_INCREF(frame_type);
        Py_INCREF(flags);
        Py_XSETREF(type_, frame_type);
        Py_XSETREF(flags_, flags);
        for (size_t i = 0; i < kSlots; ++i) {
            Py_INCREF(slots[i]);
            Py_XSETREF(slots_[i], slots[i]);
        }
        return true;
    }

    bool configured() const { return type_ != nullptr; }

    PyObject *build(const UplinkFrame &frame, const int16_t *pcm) const {
        auto *type = reinterpret_cast<PyTypeObject *>(type_);
        PyObject *flags = PyTuple_GetItem(flags_, frame.flags & ~kSent); // borrowed
        PyObject *values[kSlots] = {
            PyBytes_FromStringAndSize(reinterpret_cast<const char *>(pcm), frame.samples * Py_ssize_t{sizeof *pcm}),
            PyLong_FromLong(frame.rate_hz),
            PyLong_FromLongLong(frame.position),
            PyFloat_FromDouble(static_cast<double>(frame.arrived_ns) * 1e-9),
            Py_XNewRef(flags),
        };
        PyObject *object = type->tp_alloc(type, 0);
        for (size_t i = 0; i < kSlots; ++i) {
            if (object && (!values[i] || Py_TYPE(slots_[i])->tp_descr_set(slots_[i], object, values[i]) < 0))
                Py_CLEAR(object);
            Py_XDECREF(values[i]);
        }
        return object;
    }

  private:
    static constexpr size_t kSlots = 5;
    PyObject *type_ = nullptr;
    PyObject *flags_ = nullptr;
    PyObject *slots_[kSlots] = {};
};

// Never destroyed: at exit the interpreter is gone before it would be.
inline FrameBuilder &frame_builder() {
    static FrameBuilder *const builder = new FrameBuilder;
    return *builder;
}

inline PyObject *events_list(const std::vector<PortEvent> &events) {
    PyObject *list = PyList_New(static_cast<Py_ssize_t>(events.size()));
    for (size_t i = 0; list && i < events.size(); ++i) {
        const PortEvent &event = events[i];
        PyObject *item = Py_BuildValue("(iILd)", static_cast<int>(event.kind), event.utterance_id,
                                       static_cast<long long>(event.samples), static_cast<double>(event.at_ns) * 1e-9);
        if (item)
            PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), item);
        else
            Py_CLEAR(list);
    }
    return list;
}

// The batch's frames that were heard, or those that were sent.
inline PyObject *frames_list(const PortBatch &batch, size_t count, bool sent) {
    PyObject *list = PyList_New(static_cast<Py_ssize_t>(count));
    const int16_t *pcm = batch.pcm.data();
    Py_ssize_t at = 0;
    for (const UplinkFrame &frame : batch.frames) {
        if (!list)
            break;
        if (((frame.flags & kSent) != 0) == sent) {
            PyObject *item = frame_builder().build(frame, pcm);
            if (item)
                PyList_SET_ITEM(list, at++, item);
            else
                Py_CLEAR(list);
        }
        pcm += frame.samples;
    }
    return list;
}

// One call for everything that is ready: a list of
//     (port id, [frame heard, ...], [frame sent, ...], [(kind, utterance_id, samples, at), ...])
// where an empty list is None.
// Times are seconds of time.monotonic(). The GIL is kept: a burst is a few tens of kilobytes, and giving the GIL away
// would cost the event loop its turn. No lock of ours is held while Python objects are made, for making one may run the
// garbage collector and with it any Python code.
inline PyObject *drain(PcmHub &hub) {
    if (!frame_builder().configured()) {
        PyErr_SetString(PyExc_RuntimeError, "pcm_hub_frame_type() has not been called");
        return nullptr;
    }
    // Not static: the garbage collector may run Python code that comes back here.
    std::vector<std::shared_ptr<PcmPort>> ports;
    PortBatch batch;
    hub.collect(ports);
    PyObject *result = PyList_New(static_cast<Py_ssize_t>(ports.size()));
    for (size_t i = 0; result && i < ports.size(); ++i) {
        batch.clear();
        ports[i]->drain(batch);
        size_t sent = 0;
        for (const UplinkFrame &frame : batch.frames)
            sent += (frame.flags & kSent) != 0;
        const size_t heard = batch.frames.size() - sent;
        PyObject *items[] = {
            PyLong_FromUnsignedLong(ports[i]->id()),
            heard ? frames_list(batch, heard, false) : Py_NewRef(Py_None),
            sent ? frames_list(batch, sent, true) : Py_NewRef(Py_None),
            batch.events.empty() ? Py_NewRef(Py_None) : events_list(batch.events),
        };
        PyObject *entry = PyTuple_New(4);
        for (Py_ssize_t at = 0; at < 4; ++at) {
            if (!items[at])
                Py_CLEAR(entry);
            else if (entry)
                PyTuple_SET_ITEM(entry, at, std::exchange(items[at], nullptr));
        }
        for (PyObject *item : items)
            Py_XDECREF(item);
        if (entry)
            PyList_SET_ITEM(result, static_cast<Py_ssize_t>(i), entry);
        else
            Py_CLEAR(result);
    }
    return result;
}

} // namespace parley
