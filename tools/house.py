"""Applied once to an old-layout tree (cwd): moves files, rewrites imports and names."""
import re, subprocess, os, sys, pathlib, glob, io, tokenize
R = {  # root
 'runs':'runs.distill','verifying':'runs.verify','rehearsal':'runs.preflight','trained_run':'runs.trained_run','attributions':'runs.attribute',
 'map_distances':'runs.map_distances','teaching_run':'runs.teaching','search_run':'runs.search','evaluation':'runs.evaluate','run_folder':'runs.folder',
 'map_files':'runs.map_files','build':'runs.prepare','build_objectives':'runs.build_objectives','build_trainer':'runs.build_trainer','build_sequences':'runs.build_sequences',
 'recipe':'recipe.recipe','recipe_parts':'recipe.sections','recipe_objectives':'recipe.objectives','task_kinds':'task_types',
 'alignment.faults':'errors','alignment.sites':'alignment.resolved_site','alignment.ready_made':'alignment.presets','alignment.names':'alignment.hook_names',
 'alignment.pyvene_models':'alignment.pyvene.architectures','alignment.pyvene_rest':'alignment.pyvene.extra_fields',
 'data.counted':'data.token_mask','data.task_table':'data.tasks.registry','data.tasks':'data.tasks.loading','data.files':'data.tasks.readers','data.text':'data.tasks.tokenise','data.instructions':'data.tasks.instructions',
 'data.planted':'data.synthetic.nli','data.planted_lm':'data.synthetic.stories','data.generated':'data.synthetic.registry',
 'data.pairing':'data.pairs.collator','data.choosing':'data.pairs.selection','data.positions':'data.pairs.positions','data.policies':'data.pairs.position_policy','data.draws':'data.pairs.rng',
 'models.hooked':'models.hooks.hooked_model','models.run':'models.hooks.forward','models.places':'models.hooks.hook_points','models.find_places':'models.hooks.find_hook_points','models.hook_calls':'models.hooks.hook_functions',
 'models.entry':'models.hooks.start_at','models.stock_inputs':'models.hooks.model_inputs','models.attention':'models.hooks.attention','models.modes':'models.hooks.eval_mode','models.repeated':'models.hooks.gradient_checkpointing','models.compiled':'models.hooks.compile_guard','models.packaged':'models.packaged_weights',
 'attribution.gradients':'attribution.integrated_gradients','attribution.traced':'attribution.differentiable','attribution.views':'attribution.targets',
 'losses.rows':'losses.chunked','losses.means':'losses.reduction','losses.uncertainty':'losses.decoupled',
 'objectives.base_run':'objectives.base','objectives.taught':'objectives.teacher_outputs','objectives.remembered':'objectives.cached_predictions','objectives.gold':'objectives.labelled','objectives.predictions':'objectives.compare_predictions','objectives.counterfactuals':'objectives.counterfactual_terms',
 'training.sequences':'training.on_policy','training.learned':'training.objective_parameters',
}
V = {'report':'results.report','findings':'results.rows','attribution':'results.attribution','teaching_results':'results.teaching',
 'cells':'interventions.plan','heads':'interventions.heads','exchanges':'interventions.counterfactuals','observing':'interventions.passes','predictions':'interventions.predictions','controls':'interventions.baselines','placebo':'interventions.norm_matched',
 'interchange_accuracy':'measures.iia','tallies':'measures.counters','scores':'measures.scores','live':'measures.monitor','ground_truth':'measures.ground_truth','distances':'measures.off_distribution','departures':'measures.mismatches','behaviour':'measures.task_metrics','maps':'measures.attribution_maps','map_scores':'measures.map_scores','teaching_modes':'measures.teaching_modes','texts':'measures.text_quality',
 'intervals':'statistics.intervals','significance':'statistics.permutation',
 'search':'search.search','narrowing':'search.subspace_search','subspaces':'search.das','similarity':'search.cka','scrubbing':'search.causal_scrubbing'}
VR = {'summary':'summary','verdict':'verdict','markdown':'markdown','references':'student_comparison','comparison':'run_comparison','text':'tables','attribution_table':'attribution_tables','teaching_table':'teaching_tables'}
M = {'causalkd.'+a:'causalkd.'+b for a,b in R.items()}
M |= {'causalkd.verification.'+a:'causalkd.verification.'+b for a,b in V.items()}
M |= {'causalkd.verification.'+a:'causalkd.reporting.'+b for a,b in VR.items()}
for line in open(os.path.join(os.path.dirname(__file__),'extra_modules.txt')) if os.path.exists(os.path.join(os.path.dirname(__file__),'extra_modules.txt')) else []:
    if line.strip(): a,b=line.split(); M['causalkd.'+a]='causalkd.'+b
exists = lambda m: pathlib.Path(m.replace('.','/')+'.py').is_file()
pkgs = {d for d in M.values()}
def tmod(m): # test module of a module
    p=m.split('.')[1:]; return '.'.join(['tests',*p[:-1],'test_'+p[-1]])
T = {tmod(a):tmod(b) for a,b in M.items()}
# other test files that carry an old name
T |= {'tests.test_run_reports':'tests.runs.test_run_reports','tests.test_adkd_recipes':'tests.recipe.test_adkd_recipes','tests.test_causal_lm_recipes':'tests.recipe.test_causal_lm_recipes',
 'tests.verification.test_ground_truth_lm':'tests.verification.measures.test_ground_truth_lm','tests.verification.test_claims':'tests.reporting.test_claims','tests.alignment.exchanges':'tests.alignment.interventions','tests.attribution.views':'tests.attribution.targets',
 'tests.data.tiny_tokenizers':'tests.data.tiny_tokenizers','tests.oracles.uncertainty':'tests.oracles.decoupled'}
ALL = M|T
files = lambda: [f for f in subprocess.run(['git','ls-files'],capture_output=True,text=True).stdout.split('\n') if f and os.path.isfile(f)]
def moddoc(new):
    return DOCS.get(new,'')
DOCS = {
 'causalkd/runs':'Commands: each turns a recipe or a run folder into files of a run folder.',
 'causalkd/recipe':'What a run is, as strict and frozen data.',
 'causalkd/reporting':'Words and tables made from results.',
 'causalkd/data/tasks':'Data sets and tasks: where they come from and how they become token ids.',
 'causalkd/data/synthetic':'Generated tasks whose causal model is known.',
 'causalkd/data/pairs':'Which source goes with which base, and at which positions.',
 'causalkd/models/hooks':'Stock models with named hook points, and the forward passes that read and replace activations at them.',
 'causalkd/alignment/pyvene':'The conversion of alignments to and from pyvene.',
 'causalkd/verification/results':'The types of a report and their JSON; nothing here computes.',
 'causalkd/verification/statistics':'Intervals and tests.',
 'causalkd/verification/interventions':'Which interventions are run, and the passes that run them.',
 'causalkd/verification/measures':'What is measured on the counterfactuals and predictions of the models.',
 'causalkd/verification/search':'Which teacher site corresponds to a student site.',
}
def move():
    for a,b in list(ALL.items()):
        fa,fb=a.replace('.','/')+'.py',b.replace('.','/')+'.py'
        if fa!=fb and os.path.isfile(fa):
            os.makedirs(os.path.dirname(fb),exist_ok=True)
            # two-step to avoid clashes such as recipe.py -> recipe/recipe.py
            subprocess.run(['git','mv',fa,fb],check=True)
    if os.path.isdir('causalkd/recipes'):
        subprocess.run(['git','mv','causalkd/recipes','causalkd/recipe/shipped'],check=True)
    for d,doc in DOCS.items():
        p=d+'/__init__.py'
        if os.path.isdir(d) and not os.path.exists(p): open(p,'w').write(f'"""{doc}"""\n'); subprocess.run(['git','add',p])
DOT = re.compile(r'\b(?:causalkd|tests)(?:\.[A-Za-z_]+)+')
def dotted(m):
    s=m.group(0); parts=s.split('.')
    for n in range(len(parts),1,-1):
        p='.'.join(parts[:n])
        if p in ALL: return '.'.join([ALL[p],*parts[n:]])
    return s
SL = re.compile(r'\b(causalkd|tests)/[\w/]+\.py\b')
def slashed(m):
    s=m.group(0)[:-3].replace('/','.')
    return (ALL[s].replace('.','/')+'.py') if s in ALL else m.group(0)
FROM = re.compile(r'^(\s*)from (causalkd|tests)((?:\.[a-z_]+)*) import ([\w, ]+?)( +#.*)?$',re.M)
def fromi(m):
    ind,top,sub,names,tail=m.groups(); base=top+sub; out=[]; keep=[]
    for n in names.split(','):
        w=n.strip().split(' as '); full=base+'.'+w[0]
        if full in ALL:
            pk,_,nm=ALL[full].rpartition('.'); al=w[1] if len(w)>1 else w[0]
            out.append(f'{ind}from {pk} import {nm}'+(f' as {al}' if al!=nm else ''))
        else: keep.append(n.strip())
    if not out: return m.group(0)
    if keep: out.insert(0,f'{ind}from {base} import {", ".join(keep)}')
    return '\n'.join(out)
TEXT = ('.py','.ipynb','.md','.toml','.j2','.yaml')
def rewrite():
    for f in files():
        if not f.endswith(TEXT) or f.startswith('tests/golden/cases') or f.startswith('analysis/examples'): continue
        s=o=open(f,encoding='utf-8').read()
        s=DOT.sub(dotted,s); s=FROM.sub(fromi,s); s=SL.sub(slashed,s)
        s=s.replace('causalkd/recipes','causalkd/recipe/shipped')
        if f.startswith('tests/') and f.endswith('.py'):
            pass
        if s!=o: open(f,'w',encoding='utf-8').write(s)
# names ------------------------------------------------------------------
here=os.path.dirname(os.path.abspath(__file__))
def names():
    rules=[]
    p=os.path.join(here,'names.txt')
    for line in open(p):
        line=line.split('#')[0].strip()
        if line:
            w=line.split(None,2); rules.append((w[0],w[1],re.compile(w[2][1:]) if len(w)>2 else None))
    for f in files():
        if f.startswith(('tests/golden/cases','analysis/examples')): continue
        tab={a:b for a,b,r in rules if r is None or r.search(f)}
        if f.endswith('.py'):
            s=open(f,encoding='utf-8').read(); lines=s.split('\n'); edits=[]
            for t in tokenize.generate_tokens(io.StringIO(s).readline):
                if t.type==tokenize.NAME and t.string in tab: edits.append((t.start,t.end,tab[t.string]))
                if t.type==tokenize.STRING and re.match(r'[rRbB]?[fF]',t.string) and t.start[0]==t.end[0]:
                    new=re.sub(r'\{[^{}]*\}',lambda m:re.sub(r'[A-Za-z_]\w*',lambda k:tab.get(k.group(0),k.group(0)),m.group(0)),t.string)
                    if new!=t.string: edits.append((t.start,t.end,new))
            for (r,c),(r2,c2),new in reversed(edits):
                l=lines[r-1]; lines[r-1]=l[:c]+new+l[c2:]
            n='\n'.join(lines)
            n=re.sub(r'`+([A-Za-z_.]+)(\(\))?`',lambda m: m.group(0) if m.group(0).startswith('``') else '`'+re.sub(r'[A-Za-z_]+',lambda k:tab.get(k.group(0),k.group(0)),m.group(1))+(m.group(2) or '')+'`',n)
            n=re.sub(r'"([A-Z][A-Za-z]+)"',lambda m:'"'+tab.get(m.group(1),m.group(1))+'"',n)
            if n!=s: open(f,'w',encoding='utf-8').write(n)
        elif f.endswith(('.ipynb','.md')):
            s=open(f,encoding='utf-8').read()
            n=re.sub(r'\b[A-Za-z_]+\b',lambda k:tab[k.group(0)] if k.group(0) in tab and ('_' in k.group(0)) else k.group(0),s)
            if n!=s: open(f,'w',encoding='utf-8').write(n)
if 'move' in sys.argv: move(); rewrite()
def text():
    rules=[l.rstrip('\n').split('|',1) for l in open(os.path.join(here,'text.txt')) if l.strip()]
    rules=[(re.compile(l.rpartition('|')[0]),l.rpartition('|')[2]) for l in map(str.rstrip,open(os.path.join(here,'text.txt'))) if l]
    for f in files():
        if f.startswith(('tests/golden/cases','analysis/examples')) or not f.endswith(TEXT): continue
        o=s=open(f,encoding='utf-8').read()
        for a,b in rules: s=a.sub(b,s)
        if s!=o: open(f,'w',encoding='utf-8').write(s)
if 'names' in sys.argv: names(); text()
