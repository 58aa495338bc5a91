"""Words by language: where the segmenting library is measurably wrong, or knows too little of a stream.

- `titles`: stand before a name; their full stop never ends a sentence.
- `inner`: abbreviations that stand within a sentence (`z. B.`); neither does theirs.
- `before_number`: no end between these and a number (`No. 5`, `ca. 1600`).
- `ends`: abbreviations that may end a sentence; one of `openers` after them says that they did.
- `openers`: words that are capitalised only because a sentence begins; `early`: so do all that begin so.
- `replies`: words with which an answer goes on behind the call of a tool, where models forget the blank.
- `lists`: abbreviations that end an enumeration; a capital after one of them begins a sentence.
- `compounds`: what words end in that are followed by a number (`Goethestr. 5`).
- `ordinal`: a number with a full stop is an ordinal here (`21. Oktober`); `leads` before it or `nouns` after
  it (by their beginning) make it one.

All in lower case, without the last full stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["NO_WORDS", "WORDS", "Words"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class Words:  # noqa: D101
    titles: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()
    before_number: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    openers: frozenset[str] = frozenset()
    early: frozenset[str] = frozenset()
    replies: frozenset[str] = frozenset()
    lists: frozenset[str] = _set("etc")
    compounds: tuple[str, ...] = ()
    ordinal: bool = False
    leads: frozenset[str] = frozenset()
    nouns: tuple[str, ...] = field(default=())


# In any language: measures and references that are followed by a number, firms that end sentences.
_NUMBERED: Final = _set(
    "no nos nr nrs num núm n° nº n vol vols p pp pg pag pág s fig figs abb tab tbl art arts § par sec sect ch chap"
    " chapt cap kap ed eds eq ref ca c circa approx ver v ser bd bde op cit ex ps cf vgl tel fon fax ext apt"
    " jan feb mar mrz apr jun jul aug sep sept oct okt nov dec dez"
)
_FIRMS: Final = _set("co inc ltd corp llc bros plc etc jr sr esq")

NO_WORDS: Final = Words(before_number=_NUMBERED, ends=_FIRMS)

_GERMANIC_MONTHS: Final = (
    "januar", "jänner", "februar", "feber", "märz", "april", "mai", "juni", "juli", "august", "september",
    "oktober", "november", "dezember",
)  # fmt: skip

WORDS: Final[dict[str, Words]] = {
    "en": Words(
        early=_set("the how wha whe who why did our its had now"),
        replies=_set("based perfect great excellent good okay ok sure thanks sorry unfortunately next finally"),
        titles=_set(
            "mr mrs ms mx messrs dr prof rev fr sr st ste mt ft gen col lt maj capt cpt cmdr adm sgt cpl pvt gov pres"
            " sen rep hon supt insp"
        ),
        inner=_set("e.g eg i.e ie viz vs approx cf al resp incl excl"),
        before_number=_NUMBERED | _set("nos lot route rte hwy rm ste"),
        ends=_FIRMS | _set("a.m p.m am pm u.s u.k u.n e.u u.s.a d.c b.c a.d ph.d m.d b.a m.a"),
        openers=_set(
            "the a an this that these those it he she we they you i there here what how why when where who which"
            " but and or so if in on at as for with after before while since because although however then now my"
            " our your his her its their is are was were do does did can could will would should have has had let"
            " no not yes one some all most many both each every another such today tomorrow yesterday"
        ),
    ),
    "de": Words(
        early=_set("der die das dem den sie wir auf"),
        lists=_set("etc usw uvm usf u.ä"),
        compounds=("str",),
        titles=_set("dr fa prof hr fr frl st hl sel dipl ing mag hptm gen oberst rev"),
        inner=_set(
            "z.b zb z d.h dh u.a o.ä o.a i.d.r i.a s.o s.u u.u v.a z.t z.z m.e bzw ca vgl evtl ggf inkl exkl max min"
            " sog bes insb insbes etc.pp gem lt jew entspr betr bzgl mind kath ev röm griech lat dt engl frz abb d u"
        ),
        before_number=_NUMBERED | _set("abs art kap mio mrd tsd ziff rn rdnr aufl jg hg hrsg"),
        ends=_FIRMS | _set("usw uvm chr u.ä m.a b.a ph.d usf str jh jhd"),
        openers=_set(
            "der die das den dem des ein eine einen einem einer es er sie wir ihr ich du man dies diese dieser dieses"
            " in im am an auf aus bei mit nach von vom zu zum zur für und aber oder doch denn wenn als da dann so"
            " hier dort nun auch nur noch seit während durch wie was wer wo warum sein seine ihre unser nicht kein"
            " keine viele alle beide trotz wegen ab um später heute damals danach dabei damit dadurch"
        ),
        ordinal=True,
        leads=_set(
            "im am vom zum zur beim ans ins ab seit bis der die das den dem des ein eine einen einem einer eines"
            " dieser diese dieses diesem diesen jeder jede jedes sein seine seinem seinen seiner ihr ihre ihrem"
            " ihren ihrer mein meine meinem meinen unser unsere unserem unseren unserer und oder sowie montag"
            " dienstag mittwoch donnerstag freitag samstag sonntag sonnabend"
        ),
        nouns=(
            *_GERMANIC_MONTHS,
            "jahrhundert",
            "jahrtausend",
            "jahrestag",
            "jahrzehnt",
            "geburtstag",
            "todestag",
            "jahr",
            "tag",
            "mal",
            "platz",
            "rang",
            "stock",
            "etage",
            "klasse",
            "kapitel",
            "auflage",
            "ausgabe",
            "staffel",
            "runde",
            "minute",
            "stunde",
            "woche",
            "monat",
            "spieltag",
            "präsident",
            "weltkrieg",
            "armee",
            "division",
            "bezirk",
            "wahlperiode",
            "generation",
            "etappe",
            "hochzeitstag",
        ),
    ),
    "es": Words(
        early=_set("los las una est per tam aun"),
        lists=_set("etc"),
        titles=_set("sr sra srta srs dr dra d dña prof profa ing lic arq gral cap sto sta fr mons pbro"),
        inner=_set("p.ej ej pág págs aprox vs"),
        before_number=_NUMBERED | _set("núms aprox lun mar mié jue vie sáb dom ene abr ago dic"),
        ends=_FIRMS | _set("a.c d.c ee.uu uu s.a s.l a.m p.m ud uds vd"),
        openers=_set(
            "el la los las un una unos unas lo en de del al a por para con sin sobre tras según desde hasta entre"
            " es son fue era han ha su sus este esta estos estas ese esa aquel aquella él ella ellos yo tú nosotros"
            " se no sí pero y o si cuando donde como qué quién cómo cuándo también además aunque mientras después"
            " hoy ayer mañana"
        ),
    ),
    "fr": Words(
        early=_set("les des une ell mai"),
        lists=_set("etc"),
        titles=_set("m mm mme mmes mlle mlles dr pr me mgr st ste"),
        inner=_set("p.ex ex env c.-à-d cf vs av ap"),
        before_number=_NUMBERED | _set("janv févr avr juil art env"),
        ends=_FIRMS | _set("j.-c j.c s.a a.m p.m"),
        openers=_set(
            "le la les l un une des du de d il elle ils elles on nous vous je tu ce cet cette ces c en dans sur sous"
            " pour par avec sans mais et ou si quand lorsque comme son sa ses leur leurs notre nos à au aux après"
            " aujourd hier demain"
        ),
    ),
    "it": Words(
        early=_set("gli una que"),
        lists=_set("etc ecc"),
        titles=_set(
            "sig sigg sig.ra sig.na dott dott.ssa prof prof.ssa avv ing arch rag geom dir on sen ten gen mons don"
        ),
        inner=_set("p.es es ecc.ecc amm econ az"),
        before_number=_NUMBERED | _set("gen febbr sett ott dic"),
        ends=_FIRMS | _set("ecc s.p.a s.r.l a.c d.c"),
        openers=_set(
            "il lo la i gli le un uno una l è sono era in di da del della a al con per su tra fra ma e o se quando"
            " questo questa questi quello quella lui lei loro io tu noi voi non si che chi come dove perché dopo"
            " oggi ieri domani"
        ),
    ),
    "pt": Words(
        early=_set("uma ele ela"),
        lists=_set("etc"),
        titles=_set("sr sra srs dr dra prof profa eng arq d"),
        inner=_set("p.ex ex aprox vs"),
        ends=_FIRMS | _set("a.c d.c s.a e.u.a"),
        before_number=_NUMBERED | _set("fev abr mai ago set out dez"),
        openers=_set(
            "o a os as um uma uns umas em no na de do da por para com se mas e ou ele ela eles elas eu nós é foi"
            " hoje ontem amanhã"
        ),
    ),
    "nl": Words(
        early=_set("het een dat wij"),
        lists=_set("etc enz e.d"),
        titles=_set("dhr mevr mw dr drs ir ing prof mr st"),
        inner=_set("bijv bv d.w.z dwz o.a m.a.w i.p.v t.a.v ca evt incl excl resp vgl"),
        ends=_FIRMS | _set("enz e.d n.v b.v chr"),
        before_number=_NUMBERED,
        openers=_set(
            "de het een in op aan van voor met bij en maar of als dit dat deze die hij zij wij we ik je u er hier daar"  # noqa: E501
        ),
    ),
    "da": Words(
        early=_set("det den hvo hva hvi han hun"),
        lists=_set("etc osv m.v mv"),
        titles=_set("hr fr frk dr prof sct st"),
        inner=_set("f.eks feks bl.a ca dvs evt inkl ekskl jf mht pga vedr"),
        ends=_FIRMS | _set("u.s u.s.a osv mv m.v kr chr"),
        before_number=_NUMBERED | _set("kl stk"),
        openers=_set(
            "det den de der en et han hun jeg du vi i han hun man hvad hvem hvor hvorfor hvordan men og eller når hvis da"  # noqa: E501
            " på af til for med om som her nu så efter under"
        ),
        ordinal=True,
        leads=_set("den d til fra og på i det"),
        nouns=(
            "januar",
            "februar",
            "marts",
            "april",
            "maj",
            "juni",
            "juli",
            "august",
            "september",
            "oktober",
            "november",
            "december",
            "århundrede",
            "verdenskrig",
            "gade",
            "etage",
            "sal",
            "plads",
        ),
    ),
    "nb": Words(
        early=_set("det den hvo hva han hun"),
        lists=_set("etc osv"),
        titles=_set("hr fr frk dr prof st"),
        inner=_set("f.eks bl.a ca dvs evt inkl ekskl jf"),
        ends=_FIRMS | _set("osv mv kr"),
        before_number=_NUMBERED | _set("kl"),
        openers=_set(
            "det den de der en et han hun jeg du vi i men og eller når hvis da på av til for med om som her nå så etter"  # noqa: E501
        ),
        ordinal=True,
        leads=_set("den til fra og på i det"),
        nouns=(
            "januar",
            "februar",
            "mars",
            "april",
            "mai",
            "juni",
            "juli",
            "august",
            "september",
            "oktober",
            "november",
            "desember",
            "århundre",
            "verdenskrig",
            "etasje",
            "plass",
        ),
    ),
    "sv": Words(
        early=_set("det den han hon"),
        lists=_set("etc osv m.m"),
        titles=_set("hr fr dr prof st"),
        inner=_set("t.ex bl.a ca d.v.s dvs ev inkl exkl jfr"),
        ends=_FIRMS | _set("osv mm m.m kr"),
        before_number=_NUMBERED | _set("kl"),
        openers=_set(
            "det den de der en ett han hon jag du vi i men och eller när om då på av till för med som här nu så efter"
        ),
    ),
    "fi": Words(
        lists=_set("jne ym etc"),
        ordinal=True,
        before_number=_NUMBERED,
        ends=_FIRMS | _set("jne ym"),
        inner=_set("esim mm ns n noin ts"),
        nouns=(
            "tammikuu",
            "helmikuu",
            "maaliskuu",
            "huhtikuu",
            "toukokuu",
            "kesäkuu",
            "heinäkuu",
            "elokuu",
            "syyskuu",
            "lokakuu",
            "marraskuu",
            "joulukuu",
            "vuosisa",
        ),
    ),
    "pl": Words(
        lists=_set("itd itp etc"),
        titles=_set("dr prof inż mgr św ks gen płk p pan"),
        inner=_set("np tj tzn m.in ok ew tzw im wg"),
        ends=_FIRMS | _set("itd itp n.e p.n.e r"),
        before_number=_NUMBERED | _set("ul godz"),
        openers=_set(
            "to ten ta te on ona oni w na z do po i a ale lub czy gdy jest są był była nie jak co kto gdzie"
        ),
        ordinal=True,
        nouns=("stycz", "lut", "mar", "kwie", "maj", "czerw", "lip", "sierp", "wrze", "paździer", "listopad", "grud"),
    ),
    "cs": Words(
        lists=_set("atd apod etc"),
        titles=_set("dr prof ing mgr bc mudr judr phdr sv p gen"),
        inner=_set("např tj tzn tzv cca resp event mj"),
        ends=_FIRMS | _set("atd apod a.s s.r.o n.l"),
        before_number=_NUMBERED | _set("č čl str ul"),
        ordinal=True,
        leads=_set("dne od do v ve ze k po na"),
        nouns=("led", "únor", "břez", "dub", "květ", "červ", "srp", "září", "říj", "listopad", "prosin", "století"),
    ),
    "sk": Words(
        lists=_set("atď apod etc"),
        titles=_set("dr prof ing mgr bc mudr judr phdr sv p gen"),
        inner=_set("napr tj t.j tzv cca resp"),
        ends=_FIRMS | _set("atď apod a.s s.r.o"),
        before_number=_NUMBERED | _set("č čl str ul"),
        ordinal=True,
        leads=_set("dňa od do v vo zo k po na"),
        nouns=(
            "január",
            "február",
            "marec",
            "marc",
            "apríl",
            "máj",
            "jún",
            "júl",
            "august",
            "september",
            "septemb",
            "október",
            "októb",
            "november",
            "novemb",
            "december",
            "decemb",
            "storoč",
        ),
    ),
    "hu": Words(
        lists=_set("stb etc"),
        titles=_set("dr id ifj özv prof"),
        inner=_set("pl ill kb stb.-n ún"),
        ends=_FIRMS | _set("stb i.sz"),
        before_number=_NUMBERED,
        ordinal=True,
        nouns=(
            "január",
            "február",
            "március",
            "április",
            "május",
            "június",
            "július",
            "augusztus",
            "szeptember",
            "október",
            "november",
            "december",
            "század",
            "kerület",
            "világháború",
        ),
    ),
    "tr": Words(
        titles=_set("dr prof doç sn av öğr gen"),
        inner=_set("örn vb bkz yy"),
        before_number=_NUMBERED,
        ends=_FIRMS,
        ordinal=True,
        nouns=("yüzyıl", "dünya", "bölüm", "sınıf", "gün", "yıl"),
    ),
    "ru": Words(
        early=_set("она это они как"),
        lists=_set("т.д т.п"),
        titles=_set("г-н г-жа д-р проф акад им св гр тов"),
        inner=_set("т.е т.к т.н напр ср см прим тыс млн млрд руб долл коп ул пл просп пр стр гл рис табл обл р"),
        before_number=_NUMBERED | _set("№ п ст с д кв оф т"),
        ends=_set("т.д т.п др пр г гг в вв н.э у.е"),
        openers=_set(
            "он она оно они мы вы я ты это этот эта эти в на с из по к от для но и а если когда как что кто где не"
        ),
    ),
    "uk": Words(
        titles=_set("проф акад ім св гр"),
        inner=_set("напр див прим тис млн млрд грн вул пл обл"),
        ends=_set("ін тощо р рр ст н.е"),
        before_number=_NUMBERED | _set("№ п ст с"),
        openers=_set(
            "він вона воно вони ми ви я ти це цей ця ці в у на з із по до від для але і та якщо коли як що хто де не"
        ),
    ),
    "hi": Words(
        titles=_set("डॉ डा प्रो श्री श्रीमती सुश्री कु पं मो मौ स्व ले कर्नल इं एड मि मिस"),
        inner=_set("उदा सं रु कि मी नं वि पृ"),
    ),
    "mr": Words(titles=_set("डॉ प्रा श्री सौ कै पं"), inner=_set("उदा रु क्र पृ")),
    "el": Words(titles=_set("κ κα δρ καθ αγ"), inner=_set("π.χ δηλ βλ κτλ.π"), ends=_set("κ.λπ κτλ μ.χ π.χ.")),
}
WORDS["no"] = WORDS["nn"] = WORDS["nb"]
WORDS["ca"] = WORDS["gl"] = WORDS["es"]
WORDS["hr"] = WORDS["sr"] = WORDS["bs"] = WORDS["sl"] = Words(
    ordinal=True,
    before_number=_NUMBERED,
    ends=_FIRMS | _set("itd d.o.o"),
    inner=_set("npr tj tzv oko"),
    nouns=(
        "siječ",
        "veljač",
        "ožuj",
        "travnj",
        "svibnj",
        "lipnj",
        "srpnj",
        "kolovoz",
        "ruj",
        "listopad",
        "studen",
        "prosin",
        "januar",
        "februar",
        "mart",
        "april",
        "maj",
        "jun",
        "jul",
        "avgust",
        "septemb",
        "oktob",
        "novemb",
        "decemb",
        "stoljeć",
        "vek",
        "stolet",
    ),
)
