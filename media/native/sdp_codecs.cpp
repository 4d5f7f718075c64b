// SPDX-License-Identifier: GPL-3.0-or-later
#include "sdp_codecs.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

namespace parley {

namespace {

std::string_view view(const pj_str_t &text) {
    return {text.ptr, text.slen > 0 ? static_cast<size_t>(text.slen) : 0};
}

bool same(std::string_view one, std::string_view other) {
    const pj_str_t a{const_cast<char *>(one.data()), static_cast<pj_ssize_t>(one.size())};
    const pj_str_t b{const_cast<char *>(other.data()), static_cast<pj_ssize_t>(other.size())};
    return pj_stricmp(&a, &b) == 0;
}

std::optional<pjmedia_sdp_rtpmap> rtpmap_of(const pjmedia_sdp_media &media, const pj_str_t &format) {
    const pjmedia_sdp_attr *attr = pjmedia_sdp_media_find_attr2(&media, "rtpmap", &format);
    pjmedia_sdp_rtpmap map;
    if (!attr || pjmedia_sdp_attr_get_rtpmap(attr, &map) != PJ_SUCCESS)
        return std::nullopt;
    return map;
}

// The format that a redundancy format repeats: "97" of a=fmtp:100 97/97/97.
std::string_view repeated(const pjmedia_sdp_media &media, const pj_str_t &format) {
    const pjmedia_sdp_attr *attr = pjmedia_sdp_media_find_attr2(&media, "fmtp", &format);
    pjmedia_sdp_fmtp fmtp;
    if (!attr || pjmedia_sdp_attr_get_fmtp(attr, &fmtp) != PJ_SUCCESS)
        return {};
    const std::string_view all = view(fmtp.fmt_param);
    return all.substr(0, all.find('/'));
}

void keep_in(pjmedia_sdp_media &media, const std::vector<std::string> &codecs) {
    std::vector<pj_str_t> kept;
    std::set<unsigned> clock_rates;
    for (const std::string &codec : codecs)
        for (unsigned i = 0; i < media.desc.fmt_count; ++i)
            if (const auto map = rtpmap_of(media, media.desc.fmt[i]))
                if (same(std::string(view(map->enc_name)) + "/" + std::to_string(map->clock_rate), codec)) {
                    kept.push_back(media.desc.fmt[i]);
                    clock_rates.insert(map->clock_rate);
                }
    if (kept.empty())
        return;
    const auto has = [&kept](std::string_view format) {
        return std::any_of(kept.begin(), kept.end(), [format](const pj_str_t &one) { return view(one) == format; });
    };
    for (unsigned i = 0; i < media.desc.fmt_count; ++i) {
        const pj_str_t &format = media.desc.fmt[i];
        const auto map = rtpmap_of(media, format);
        if (!map)
            continue;
        if ((same(view(map->enc_name), "telephone-event") && clock_rates.count(map->clock_rate)) ||
            (same(view(map->enc_name), "red") && has(repeated(media, format))))
            kept.push_back(format);
    }
    unsigned left = 0;
    for (unsigned i = 0; i < media.attr_count; ++i) {
        pjmedia_sdp_attr *attr = media.attr[i];
        const std::string_view value = view(attr->value);
        const bool is_of_a_format = same(view(attr->name), "rtpmap") || same(view(attr->name), "fmtp");
        if (!is_of_a_format || has(value.substr(0, value.find(' '))))
            media.attr[left++] = attr;
    }
    media.attr_count = left;
    std::copy(kept.begin(), kept.end(), media.desc.fmt);
    media.desc.fmt_count = static_cast<unsigned>(kept.size());
}

} // namespace

void keep_codecs(pjmedia_sdp_session &sdp, const std::vector<std::string> &codecs) {
    for (unsigned i = 0; i < sdp.media_count; ++i)
        if (same(view(sdp.media[i]->desc.media), "audio") && sdp.media[i]->desc.port != 0)
            keep_in(*sdp.media[i], codecs);
}

} // namespace parley
