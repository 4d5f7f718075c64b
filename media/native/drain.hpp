// SPDX-License-Identifier: GPL-3.0-or-later
// The hub's contents as Python objects. Only SWIG's wrapper includes this: nothing else here knows Python.
#pragma once

#include <Python.h>

#include "hub.hpp"
#include "pcm_port.hpp"

namespace parley {

// One call for everything that is ready, built with the C API: a list of
//     (port id, [(pcm, rate_hz, position, arrived_at, flags), ...], [(kind, utterance_id, samples, at), ...])
// Times are seconds of time.monotonic(). The GIL is kept: a burst is a few tens of kilobytes, and giving the GIL away
// would cost the event loop its turn. No lock of ours is held while Python objects are made, for making one may run the
// garbage collector and with it any Python code.
inline PyObject *drain(PcmHub &hub) {
    static thread_local std::vector<std::shared_ptr<PcmPort>> ports;
    static thread_local PortBatch batch;
    ports.clear();
    hub.collect(ports);
    PyObject *result = PyList_New(0);
    for (const auto &port : ports) {
        if (!result)
            break;
        batch.clear();
        port->drain(batch);
        PyObject *frames = PyList_New(static_cast<Py_ssize_t>(batch.frames.size()));
        PyObject *events = PyList_New(static_cast<Py_ssize_t>(batch.events.size()));
        bool whole = frames && events;
        const int16_t *pcm = batch.pcm.data();
        for (size_t i = 0; whole && i < batch.frames.size(); ++i) {
            const UplinkFrame &frame = batch.frames[i];
            PyObject *item = Py_BuildValue("(y#ILdI)", reinterpret_cast<const char *>(pcm),
                                           static_cast<Py_ssize_t>(frame.samples * sizeof(int16_t)), frame.rate_hz,
                                           static_cast<long long>(frame.position),
                                           static_cast<double>(frame.arrived_ns) * 1e-9, unsigned{frame.flags});
            pcm += frame.samples;
            whole = item != nullptr;
            if (whole)
                PyList_SET_ITEM(frames, static_cast<Py_ssize_t>(i), item);
        }
        for (size_t i = 0; whole && i < batch.events.size(); ++i) {
            const PortEvent &event = batch.events[i];
            PyObject *item =
                Py_BuildValue("(iILd)", static_cast<int>(event.kind), event.utterance_id,
                              static_cast<long long>(event.samples), static_cast<double>(event.at_ns) * 1e-9);
            whole = item != nullptr;
            if (whole)
                PyList_SET_ITEM(events, static_cast<Py_ssize_t>(i), item);
        }
        PyObject *entry = whole ? Py_BuildValue("(INN)", port->id(), frames, events) : nullptr;
        if (!entry) {
            if (!whole) {
                Py_XDECREF(frames);
                Py_XDECREF(events);
            }
            Py_CLEAR(result);
            break;
        }
        if (PyList_Append(result, entry) < 0)
            Py_CLEAR(result);
        Py_DECREF(entry);
    }
    ports.clear();
    return result;
}

} // namespace parley
