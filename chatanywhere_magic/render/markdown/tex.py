r"""The TeX commands that may reach MathJax, to which a formula is a program.

MathJax has commands that make links, set attributes, load code and define other commands. So only those pass that are
known to do nothing but draw symbols of a formula near the place where they stand: those of LaTeX and AMS that MathJax
has, ``\ce`` for chemistry and ``\bra`` for physics, without the ones that draw rules or move things by lengths.
"""

from __future__ import annotations

import re
from typing import Final

_COMMAND: Final = re.compile(r"\\(?:(begin|end)\s*\{([^{}]*)\}|([a-zA-Z]+))")
# Lengths and colours are written out, so that what they may be can be seen.
_SMALL_SPACE: Final = re.compile(
    r"\\(?:hspace|mspace|hskip|mskip|kern|mkern)\*?\s*\{?-?\d?(?:\.\d+)?\s?(?:em|ex|mu|pt)\}?"
)
_COLOR: Final = re.compile(r"\\(?:color|textcolor|colorbox)\s*\{(?:[a-zA-Z]{1,20}|#[0-9a-fA-F]{3,6})\}")
_LARGE_GAP: Final = re.compile(r"\\\\\s*\[[^\]]{6,}")


def is_harmless(tex: str) -> bool:
    """Tell whether `tex` has only commands that are known to be harmless."""
    if _LARGE_GAP.search(tex):
        return False
    rest = _COLOR.sub(" ", _SMALL_SPACE.sub(" ", tex))
    return all(
        found[2].rstrip("*") in ENVIRONMENTS if found[1] else found[3] in _COMMANDS
        for found in _COMMAND.finditer(rest.replace("\\\\", " "))
    )


ENVIRONMENTS: Final = frozenset(
    """
    Bmatrix Vmatrix align alignat aligned alignedat array bmatrix cases dcases drcases eqnarray equation flalign gather
    gathered lgathered matrix multline multlined pmatrix rcases rgathered smallmatrix bsmallmatrix psmallmatrix
    vsmallmatrix split subarray vmatrix
    """.split()  # noqa: SIM905 - a thousand quotation marks would not be read
)
DISPLAYED: Final = frozenset({"align", "alignat", "eqnarray", "equation", "flalign", "gather", "multline"})
"""Environments that are a formula on lines of its own; the others are part of one."""
_COMMANDS: Final = frozenset(
    """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi
    psi omega varepsilon vartheta varpi varrho varsigma varphi digamma varkappa Gamma Delta Theta Lambda Xi Pi Sigma
    Upsilon Phi Psi Omega varGamma varDelta varTheta varLambda varXi varPi varSigma varUpsilon varPhi varPsi varOmega
    aleph beth gimel daleth S hbar hslash imath jmath ell wp Re Im partial infty prime backprime emptyset varnothing
    nabla top bot angle measuredangle sphericalangle triangle backslash forall exists nexists neg lnot flat natural
    sharp clubsuit diamondsuit heartsuit spadesuit complement mho eth Finv Game Bbbk yen circledR circledS checkmark
    maltese bigstar blacklozenge blacksquare blacktriangle blacktriangledown lozenge Diamond square Box triangledown
    diagup diagdown

    surd coprod bigvee bigwedge biguplus bigcap bigcup int intop iint iiint iiiint idotsint prod sum bigotimes
    bigoplus bigodot oint bigsqcup bigtimes smallint triangleleft triangleright bigtriangleup bigtriangledown wedge
    land vee lor cap cup ddagger dagger sqcap sqcup uplus amalg diamond bullet wr div divsymbol odot oslash otimes
    ominus oplus mp pm circ bigcirc setminus cdot ast times star propto sqsubseteq sqsupseteq parallel mid dashv vdash
    leq le geq ge lt gt succ prec approx succeq preceq supset subset supseteq subseteq in ni notin owns gg ll sim simeq
    perp equiv asymp smile frown ne neq cong doteq bowtie models Leftrightarrow Leftarrow Rightarrow leftrightarrow
    leftarrow gets rightarrow to mapsto leftharpoonup leftharpoondown rightharpoonup rightharpoondown nearrow searrow
    nwarrow swarrow rightleftharpoons hookrightarrow hookleftarrow longleftarrow Longleftarrow longrightarrow
    Longrightarrow Longleftrightarrow longleftrightarrow longmapsto ldots cdots vdots ddots dots dotsc dotsb dotsm
    dotsi dotso ldotp cdotp colon And

    lmoustache rmoustache lgroup rgroup arrowvert Arrowvert bracevert Vert vert uparrow downarrow updownarrow Uparrow
    Downarrow Updownarrow rangle langle rbrace lbrace rceil lceil rfloor lfloor lbrack rbrack lparen rparen lvert rvert
    lVert rVert ulcorner urcorner llcorner lrcorner

    displaystyle textstyle scriptstyle scriptscriptstyle rm mit oldstyle cal it bf scr frak sf tt mathrm mathup
    mathnormal mathbf mathbfup mathit mathbfit mathbb Bbb mathfrak mathbffrak mathscr mathbfscr mathsf mathsfup
    mathbfsf mathbfsfup mathsfit mathbfsfit mathtt mathcal mathbfcal symrm symup symnormal symbf symbfup symit symbfit
    symbb symfrak symscr symsf symtt symcal textrm textup textnormal textit textbf textsf texttt tiny scriptsize small
    normalsize large Large LARGE boldsymbol pmb bm

    arcsin arccos arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min
    Pr sec sin sinh sup tan tanh limits nolimits injlim projlim varliminf varlimsup varinjlim varprojlim operatorname
    bmod pmod mod pod

    overline underline overbrace underbrace overparen underparen overbracket underbracket overrightarrow
    underrightarrow overleftarrow underleftarrow overleftrightarrow underleftrightarrow overset underset overunderset
    stackrel stackbin over atop brace brack choose frac tfrac dfrac cfrac binom tbinom dbinom splitfrac splitdfrac sqrt
    root left right middle substack sideset prescript adjustlimits cancel bcancel xcancel cancelto boxed fbox Aboxed
    big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm mathord mathop mathopen
    mathclose mathbin mathrel mathpunct mathinner mathchoice vcenter buildrel hbox text mbox strut mathstrut phantom
    vphantom hphantom smash cramped acute grave ddot dddot ddddot tilde bar breve check hat vec dot mathring widetilde
    widehat not centernot notag nonumber intertext

    matrix array pmatrix cases displaylines cr newline hline hdashline hfill hfil iff skew TeX LaTeX enspace quad qquad
    thinspace negthinspace negmedspace negthickspace nobreakspace space nonscript

    implies impliedby therefore because xrightarrow xleftarrow xleftrightarrow xLeftarrow xRightarrow xLeftrightarrow
    xhookleftarrow xhookrightarrow xmapsto xrightharpoondown xleftharpoondown xrightleftharpoons xrightharpoonup
    xleftharpoonup xleftrightharpoons coloneqq Coloneqq coloneq Coloneq eqqcolon Eqqcolon eqcolon Eqcolon colonapprox
    Colonapprox colonsim Colonsim dblcolon centercolon

    dotplus ltimes smallsetminus rtimes Cap doublecap leftthreetimes Cup doublecup rightthreetimes barwedge curlywedge
    veebar curlyvee doublebarwedge boxminus circleddash boxtimes circledast boxdot circledcirc boxplus centerdot
    divideontimes intercal leqq geqq leqslant geqslant eqslantless eqslantgtr lesssim gtrsim lessapprox gtrapprox
    approxeq lessdot gtrdot lll llless ggg gggtr lessgtr gtrless lesseqgtr gtreqless lesseqqgtr gtreqqless doteqdot
    Doteq eqcirc risingdotseq circeq fallingdotseq triangleq backsim thicksim backsimeq thickapprox subseteqq supseteqq
    Subset Supset sqsubset sqsupset preccurlyeq succcurlyeq curlyeqprec curlyeqsucc precsim succsim precapprox
    succapprox vartriangleleft lhd vartriangleright rhd trianglelefteq unlhd trianglerighteq unrhd vDash Vdash Vvdash
    smallsmile shortmid smallfrown shortparallel bumpeq between Bumpeq pitchfork varpropto backepsilon
    blacktriangleleft blacktriangleright eqsim vartriangle Join nless ngtr nleq ngeq nleqslant ngeqslant nleqq ngeqq
    lneq gneq lneqq gneqq lvertneqq gvertneqq lnsim gnsim lnapprox gnapprox nprec nsucc npreceq nsucceq precneqq
    succneqq precnsim succnsim precnapprox succnapprox nsim ncong nshortmid nshortparallel nmid nparallel nvdash nvDash
    nVdash nVDash ntriangleleft ntriangleright ntrianglelefteq ntrianglerighteq nsubseteq nsupseteq nsubseteqq
    nsupseteqq subsetneq supsetneq varsubsetneq varsupsetneq subsetneqq supsetneqq varsubsetneqq varsupsetneqq
    leftleftarrows rightrightarrows leftrightarrows rightleftarrows Lleftarrow Rrightarrow twoheadleftarrow
    twoheadrightarrow leftarrowtail rightarrowtail looparrowleft looparrowright leftrightharpoons curvearrowleft
    curvearrowright circlearrowleft circlearrowright Lsh Rsh upuparrows downdownarrows upharpoonleft upharpoonright
    downharpoonleft restriction multimap downharpoonright leftrightsquigarrow rightsquigarrow leadsto dashrightarrow
    dashleftarrow nleftarrow nrightarrow nLeftarrow nRightarrow nleftrightarrow nLeftrightarrow

    bra ket braket Bra Ket Braket ketbra set Set ce pu textcelsius textdegree textmu textohm
    """.split()  # noqa: SIM905 - as above
)
