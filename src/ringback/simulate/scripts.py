"""What is said in simulated calls: a handful of businesses, in their languages."""

from __future__ import annotations

from ringback.model import Value


class Line(Value, frozen=True, kw_only=True):
    role: str
    text: str


class Script(Value, frozen=True, kw_only=True):
    """One kind of call. `calling_code` begins customers' numbers; `{name}` in a line is the customer's."""

    language: str
    agent: str
    campaign: str
    business_number: str
    calling_code: str
    customers: tuple[str, ...]
    lines: tuple[Line, ...]
    summary: str


def _lines(text: str) -> tuple[Line, ...]:
    """Each line is `role: what is said`."""
    spoken = (line.strip().partition(": ") for line in text.strip().splitlines())
    return tuple(Line(role=role, text=said) for role, _, said in spoken)


SCRIPTS = (
    Script(
        language="en",
        agent="agent_front_desk",
        campaign="campaign_autumn_reminders",
        business_number="+442079460958",
        calling_code="+447700",
        customers=("Amelia Clarke", "Oliver Shah", "Grace O'Neill"),
        lines=_lines(
            """
            agent: Good morning, this is Marlow Dental. Am I speaking with {name}?
            user: Yes, that's me.
            agent: I'm calling about your check-up on Tuesday at two. Does that still suit you?
            user: Actually, could we make it Wednesday at half past nine instead?
            tool: {"tool":"calendar.find_slot","day":"Wednesday","slots":["09:30","11:00"]}
            agent: Wednesday at half past nine is free. Shall I move you there?
            user: Please do.
            tool: {"tool":"calendar.move","to":"Wednesday 09:30","ok":true}
            agent: All done. You'll get a text message in a minute. Have a lovely day!
            user: Thanks, bye!
            """
        ),
        summary="The check-up was moved to Wednesday at 9:30.",
    ),
    Script(
        language="tr",
        agent="agent_kargo_destek",
        campaign="campaign_teslimat",
        business_number="+902123456789",
        calling_code="+90532",
        customers=("Elif Kaya", "Mehmet Yıldız", "Zeynep Çelik"),
        lines=_lines(
            """
            agent: Merhaba {name}, Hızlı Kargo'dan arıyorum. Paketiniz bugün dağıtıma çıktı.
            user: Saat kaçta gelir, biliyor musunuz?
            tool: {"tool":"courier.eta","window":"14:00-16:00"}
            agent: Öğleden sonra iki ile dört arasında kapınızda olacak.
            user: O saatte evde değilim, komşuma bırakabilir misiniz?
            agent: Elbette. Hangi daireye bırakalım?
            user: Karşı daireye, beş numaraya lütfen.
            agent: Not aldım, beş numaraya teslim edilecek. İyi günler dilerim.
            """
        ),
        summary="Paket komşuya, beş numaralı daireye bırakılacak.",
    ),
    Script(
        language="de",
        agent="agent_stadtwerke",
        campaign="campaign_zaehlerstand",
        business_number="+493012345678",
        calling_code="+49151",
        customers=("Jürgen Weiß", "Sabine Köhler", "Björn Schäfer"),
        lines=_lines(
            """
            agent: Guten Tag, hier sind die Stadtwerke. Spreche ich mit {name}?
            user: Ja, am Apparat.
            agent: Uns fehlt noch Ihr Zählerstand. Können Sie ihn mir kurz durchgeben?
            user: Moment … achtundvierzigtausendzweihundertsieben.
            tool: {"tool":"meter.submit","reading":48207,"plausible":true}
            agent: Danke, 48.207 Kilowattstunden sind notiert. Auf Wiederhören!
            user: Tschüss.
            """
        ),
        summary="Zählerstand 48.207 kWh aufgenommen.",
    ),
    Script(
        language="es",
        agent="agent_reservas",
        campaign="campaign_fin_de_semana",
        business_number="+34910123456",
        calling_code="+34612",
        customers=("Lucía Fernández", "Iñaki Muñoz", "Andrés Peña"),
        lines=_lines(
            """
            agent: ¡Buenas tardes! Restaurante La Higuera, ¿en qué puedo ayudarle?
            user: Hola, quería una mesa para cuatro el sábado a las nueve.
            tool: {"tool":"tables.check","people":4,"free":["21:30"]}
            agent: A las nueve está completo, pero a las nueve y media me queda una en la terraza.
            user: Perfecto, a nombre de {name}.
            agent: Queda reservada. ¡Hasta el sábado!
            """
        ),
        summary="Mesa para cuatro el sábado a las 21:30, terraza.",
    ),
    Script(
        language="ar",
        agent="agent_clinic_ar",
        campaign="campaign_results",
        business_number="+97142345678",
        calling_code="+97150",
        customers=("ليلى حداد", "عمر منصور", "نور الشامي"),
        lines=_lines(
            """
            agent: مرحباً {name}، معك مركز الشفاء الطبي. نتائج فحوصاتك أصبحت جاهزة.
            user: شكراً، هل كل شيء على ما يرام؟
            agent: الطبيب يود مراجعتها معك. هل يناسبك يوم الخميس صباحاً؟
            user: نعم، الساعة العاشرة مناسبة.
            tool: {"tool":"calendar.book","day":"Thursday","at":"10:00","ok":true}
            agent: تم الحجز. نراك يوم الخميس 🙂
            """
        ),
        summary="تم حجز موعد يوم الخميس الساعة العاشرة.",
    ),
)

# Reason → what the carrier or the queue says about it.
FAILURES = {
    "NoAnswer": "The callee did not answer within 30 seconds.",
    "DeclinedOrBusy": "The callee declined the call or the line was busy (486).",
    "VoicemailDetected": "A voicemail greeting was detected; the agent is set to hang up.",
    "Expired": "The call stayed in the queue past its latest start.",
    "Canceled": "The call was cancelled while it was queued.",
    "CarrierError": "The carrier refused the call (503 Service Unavailable).",
}
